"""Functions and triggers inside PostgreSQL that the tables rely on (§7.1).

A NOTIFY carries an id only: its payload is limited and lost on whoever was away, so the row is the message.
"""

from typing import Final

TRIGGERS: Final[list[str]] = [
    """
    CREATE OR REPLACE FUNCTION trading.announce_trade_event() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('trade_event', NEW.event_id::text);
        RETURN NULL;
    END $$
    """,
    "DROP TRIGGER IF EXISTS announce ON trading.trade_events",
    """
    CREATE TRIGGER announce AFTER INSERT ON trading.trade_events
        FOR EACH ROW EXECUTE FUNCTION trading.announce_trade_event()
    """,
    # What cannot be told never undoes what was traded: each of the three below drops its event
    # instead, and so does a command's answer.
    """
    CREATE OR REPLACE FUNCTION trading.record_trade_event() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        event_kind text;
        event_severity text := 'info';
    BEGIN
        IF TG_OP = 'INSERT' AND NOT NEW.is_closed THEN
            event_kind := 'ENTRY_FILLED';
        ELSIF NEW.is_closed AND (TG_OP = 'INSERT' OR NOT OLD.is_closed) THEN
            event_kind := CASE NEW.exit_reason
                WHEN 'TARGET' THEN 'TARGET_HIT'
                WHEN 'STOPLOSS' THEN 'STOPLOSS_HIT'
                WHEN 'TRAILED_STOP' THEN 'STOPLOSS_HIT'
                ELSE 'EXIT_COMPLETED' END;
            IF NEW.exit_reason = 'STOPLOSS' THEN
                event_severity := 'warning';
            END IF;
        ELSIF TG_OP = 'UPDATE' AND NEW.stop_paise IS DISTINCT FROM OLD.stop_paise THEN
            event_kind := 'SL_UPDATED';
        ELSE
            RETURN NULL;
        END IF;
        INSERT INTO trading.trade_events (account_id, kind, severity, message, payload, event_ns, is_sent)
        VALUES (
            NEW.account_id, event_kind, event_severity,
            format('%s %s %s, leg %s', event_kind, NEW.side, NEW.instrument_key, NEW.leg_number),
            jsonb_build_object(
                'group_id', NEW.group_id, 'leg_number', NEW.leg_number, 'signal_id', NEW.signal_id,
                'advisor_id', NEW.advisor_id, 'instrument_key', NEW.instrument_key, 'side', NEW.side,
                'quantity', NEW.quantity, 'entry_paise', NEW.entry_paise, 'exit_paise', NEW.exit_paise,
                'exit_reason', NEW.exit_reason, 'gross_pnl_paise', NEW.gross_pnl_paise,
                'net_pnl_paise', NEW.net_pnl_paise, 'stop_paise', NEW.stop_paise
            ),
            NEW.changed_ns, false
        );
        RETURN NULL;
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING USING MESSAGE = 'an event of group ' || NEW.group_id || ' is lost: ' || SQLERRM;
        RETURN NULL;
    END $$
    """,
    "DROP TRIGGER IF EXISTS record_event ON trading.executed_trades",
    """
    CREATE TRIGGER record_event AFTER INSERT OR UPDATE ON trading.executed_trades
        FOR EACH ROW EXECUTE FUNCTION trading.record_trade_event()
    """,
    # Nothing is executed yet when an entry is accepted, so it is told from the broker's word.
    """
    CREATE OR REPLACE FUNCTION trading.record_placed_entry() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO trading.trade_events (account_id, kind, severity, message, payload, event_ns, is_sent)
        SELECT NEW.account_id, 'ENTRY_PLACED', 'info',
            format('ENTRY_PLACED %s %s, leg %s', g.side, g.instrument_key, i.leg_number),
            jsonb_build_object(
                'group_id', i.group_id, 'leg_number', i.leg_number, 'signal_id', g.signal_id,
                'advisor_id', g.advisor_id, 'instrument_key', g.instrument_key, 'side', g.side,
                'quantity', l.quantity, 'entry_low_paise', g.entry_low_paise,
                'entry_high_paise', g.entry_high_paise, 'stop_paise', l.stop_paise,
                'target_paise', l.target_paise, 'broker_order_id', NEW.broker_order_id
            ),
            NEW.updated_ns, false
        FROM trading.order_intents i
        JOIN trading.trade_groups g ON g.account_id = i.account_id AND g.group_id = i.group_id
        JOIN trading.legs l ON l.account_id = i.account_id AND l.group_id = i.group_id
            AND l.leg_number = i.leg_number
        WHERE i.account_id = NEW.account_id AND i.correlation_id = NEW.correlation_id AND i.kind = 'PLACE'
        LIMIT 1;
        RETURN NULL;
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING USING MESSAGE = 'an event of ' || NEW.correlation_id || ' is lost: ' || SQLERRM;
        RETURN NULL;
    END $$
    """,
    "DROP TRIGGER IF EXISTS record_event ON trading.broker_orders",
    """
    CREATE TRIGGER record_event AFTER INSERT ON trading.broker_orders
        FOR EACH ROW WHEN (NEW.last_kind = 'ACKNOWLEDGED')
        EXECUTE FUNCTION trading.record_placed_entry()
    """,
    # At the end of the transaction that hands the day over, so that its last trades are in.
    """
    CREATE OR REPLACE FUNCTION trading.record_daily_summary() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO trading.trade_events (account_id, kind, severity, message, payload, event_ns, is_sent)
        SELECT NEW.account_id, 'DAILY_SUMMARY', 'info', format('DAILY_SUMMARY of %s', NEW.trade_date),
            jsonb_build_object(
                'trade_date', NEW.trade_date,
                'legs_entered', count(*) FILTER (WHERE t.entry_day = NEW.trade_date),
                'legs_closed', count(*) FILTER (WHERE t.exit_day = NEW.trade_date),
                'legs_won', count(*) FILTER (WHERE t.exit_day = NEW.trade_date AND t.net_pnl_paise > 0),
                'legs_open', count(*) FILTER (WHERE NOT t.is_closed),
                'gross_pnl_paise',
                coalesce(sum(t.gross_pnl_paise) FILTER (WHERE t.exit_day = NEW.trade_date), 0),
                'charges_paise',
                coalesce(sum(t.charges_paise) FILTER (WHERE t.exit_day = NEW.trade_date), 0),
                'net_pnl_paise',
                coalesce(sum(t.net_pnl_paise) FILTER (WHERE t.exit_day = NEW.trade_date), 0),
                'signals_decided', (
                    SELECT count(*) FROM trading.decisions d
                    WHERE d.account_id = NEW.account_id AND d.trade_date = NEW.trade_date
                )
            ),
            greatest(
                max(t.changed_ns) FILTER (WHERE t.exit_day = NEW.trade_date),
                (extract(epoch FROM (NEW.trade_date + time '15:30') AT TIME ZONE 'Asia/Kolkata')
                    * 1000000000)::bigint
            ), false
        FROM (
            SELECT e.*, (e.entry_at AT TIME ZONE 'Asia/Kolkata')::date AS entry_day,
                (e.exit_at AT TIME ZONE 'Asia/Kolkata')::date AS exit_day
            FROM trading.executed_trades e
            WHERE e.account_id = NEW.account_id AND e.entry_at < (NEW.trade_date + 1)::timestamptz
        ) t;
        RETURN NULL;
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING USING MESSAGE = 'the summary of ' || NEW.trade_date || ' is lost: ' || SQLERRM;
        RETURN NULL;
    END $$
    """,
    "DROP TRIGGER IF EXISTS record_event ON trading.carry_overs",
    """
    CREATE CONSTRAINT TRIGGER record_event AFTER INSERT ON trading.carry_overs
        DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION trading.record_daily_summary()
    """,
    # The pipeline may not write the trading schema: this runs with the rights of the owner.
    """
    CREATE OR REPLACE FUNCTION ref.record_alert_event() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog AS $$
    BEGIN
        INSERT INTO trading.trade_events (account_id, kind, severity, message, payload, event_ns, is_sent)
        VALUES (
            NEW.account_id, NEW.kind, NEW.severity, NEW.message,
            jsonb_build_object('alert_id', NEW.alert_id, 'run_id', NEW.run_id),
            (extract(epoch FROM NEW.raised_at) * 1000000000)::bigint, false
        );
        RETURN NULL;
    END $$
    """,
    "DROP TRIGGER IF EXISTS record_event ON ref.alerts",
    """
    CREATE TRIGGER record_event AFTER INSERT ON ref.alerts
        FOR EACH ROW EXECUTE FUNCTION ref.record_alert_event()
    """,
    """
    CREATE OR REPLACE FUNCTION audit.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION USING MESSAGE = TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME || ' is append-only';
    END $$
    """,
    "DROP TRIGGER IF EXISTS append_only ON audit.log",
    """
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.log
        FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()
    """,
    # A command wakes the daemon; its answer is an event for people. Both carry the number only: see above.
    """
    CREATE OR REPLACE FUNCTION trading.announce_command() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('command', NEW.account_id);
        IF TG_OP = 'INSERT' OR NEW.state = OLD.state THEN
            RETURN NULL;
        END IF;
        BEGIN
            INSERT INTO trading.trade_events
                (account_id, kind, severity, message, payload, event_ns, is_sent)
            VALUES (
                NEW.account_id, 'COMMAND_ANSWERED',
                CASE WHEN NEW.state = 'EXPIRED'
                        OR NEW.state = 'REFUSED' AND NEW.kind IN ('PAUSE', 'KILL', 'FLATTEN') THEN 'critical'
                    WHEN NEW.state = 'REFUSED' THEN 'warning' ELSE 'info' END,
                left(format('%s of %s is %s: %s', NEW.kind, NEW.asked_by, NEW.state, NEW.answer), 1000),
                jsonb_build_object(
                    'command_id', NEW.command_id, 'kind', NEW.kind, 'arguments', NEW.arguments,
                    'asked_by', NEW.asked_by, 'door', NEW.door, 'state', NEW.state, 'answer', NEW.answer
                ),
                -- a deposed daemon's row of the journal is not there: its transaction ends by itself
                coalesce(
                    (SELECT now_ns FROM trading.journal
                     WHERE account_id = NEW.account_id AND trade_date = NEW.journal_date
                       AND seq = NEW.journal_seq),
                    (extract(epoch FROM NEW.answered_at) * 1000000000)::bigint
                ),
                false
            );
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING USING
                MESSAGE = 'the event of command ' || NEW.command_id || ' is lost: ' || SQLERRM;
        END;
        RETURN NULL;
    END $$
    """,
    "DROP TRIGGER IF EXISTS announce ON trading.commands",
    """
    CREATE TRIGGER announce AFTER INSERT OR UPDATE OF state ON trading.commands
        FOR EACH ROW EXECUTE FUNCTION trading.announce_command()
    """,
    """
    CREATE OR REPLACE FUNCTION trading.answer_once() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF (NEW.account_id, NEW.command_id, NEW.asked_by, NEW.role, NEW.asked_at, NEW.door, NEW.kind,
                NEW.arguments, NEW.idempotency_key)
            IS DISTINCT FROM (OLD.account_id, OLD.command_id, OLD.asked_by, OLD.role, OLD.asked_at, OLD.door,
                OLD.kind, OLD.arguments, OLD.idempotency_key)
            OR OLD.state <> 'ASKED' AND (NEW.state, NEW.answer, NEW.answered_at)
                IS DISTINCT FROM (OLD.state, OLD.answer, OLD.answered_at)
        THEN
            RAISE EXCEPTION 'a command is asked once and answered once';
        END IF;
        RETURN NEW;
    END $$
    """,
    "DROP TRIGGER IF EXISTS answer_once ON trading.commands",
    """
    CREATE TRIGGER answer_once BEFORE UPDATE ON trading.commands
        FOR EACH ROW EXECUTE FUNCTION trading.answer_once()
    """,
    "DROP TRIGGER IF EXISTS append_only ON trading.commands",
    """
    CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON trading.commands
        FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()
    """,
    # Runs as a window, so that a million rows are chained in one statement. plpgsql, since a function in SQL
    # that is the step of an aggregate is planned anew for every row.
    """
    CREATE OR REPLACE FUNCTION raw.chain_step(state bytea, head bytea, payload text) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$ BEGIN RETURN sha256(coalesce(state, head) || convert_to(payload, 'UTF8')); END $$
    """,
    """
    CREATE OR REPLACE AGGREGATE raw.chain_hash(head bytea, payload text) (
        SFUNC = raw.chain_step, STYPE = bytea
    )
    """,
    "DROP TRIGGER IF EXISTS append_only ON raw.signal_log",
    """
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON raw.signal_log
        FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse_change()
    """,
]
