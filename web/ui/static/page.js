"use strict";
// What the browser does by itself: the clock, the state of the connection, light and dark.
const propdesk = (() => {
  const clock = new Intl.DateTimeFormat("en-IN", {
    timeZone: "Asia/Kolkata", weekday: "short", day: "2-digit", month: "short", hour: "2-digit", minute: "2-digit",
    second: "2-digit", hourCycle: "h23",
  });

  function tick() {
    const place = document.querySelector(".clock");
    if (place) place.textContent = `${clock.format(new Date())} IST`;
    const link = document.querySelector(".link");
    if (link) {
      const isOn = window.socket?.connected === true;
      link.textContent = isOn ? "connected" : "not connected";
      link.classList.toggle("on", isOn);
      link.classList.toggle("off", !isOn);
    }
  }

  function turnTheme() {
    const now = /(?:^|; )propdesk_theme=(\w+)/.exec(document.cookie)?.[1] ?? "system";
    const next = { system: "light", light: "dark", dark: "system" }[now] ?? "system";
    document.cookie = `propdesk_theme=${next}; path=/; max-age=31536000; samesite=strict`;
    const isDark = next === "dark" || (next === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
    Quasar.Dark.set(next === "system" ? "auto" : isDark);
  }

  // --- how values are written; the same words as web/ui/formats.py ---------------------------------------

  const absent = "–";
  const ratio = new Intl.NumberFormat("en-IN", { minimumFractionDigits: 3, maximumFractionDigits: 3 });
  const whole = new Intl.NumberFormat("en-IN", { maximumFractionDigits: 0 });
  const rupees = new Intl.NumberFormat("en-IN", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const instant = new Intl.DateTimeFormat("en-IN", {
    timeZone: "Asia/Kolkata", day: "2-digit", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit",
    second: "2-digit", hourCycle: "h23",
  });
  const endless = { Infinity: "∞", "-Infinity": "−∞" };
  const minus = (text) => text.replace("-", "−");
  const isGone = (value) => value === null || value === undefined;

  function money(paise) {
    const amount = paise / 100, size = Math.abs(amount), sign = amount < 0 ? "−" : "";
    if (size >= 1e7) return `${sign}₹${rupees.format(size / 1e7)} crore`;
    if (size >= 1e5) return `${sign}₹${rupees.format(size / 1e5)} lakh`;
    return `${sign}₹${rupees.format(size)}`;
  }

  function written(kind, value) {
    if (isGone(value)) return absent;
    switch (kind) {
      case "paise": return Array.isArray(value) ? value.map(money).join(", ") : money(value);
      case "integer": return minus(whole.format(value));
      case "percent": return endless[value] ?? minus(rupees.format(value));
      case "number": return endless[value] ?? minus(ratio.format(value));
      case "ns": return `${instant.format(new Date(value / 1e6))} IST`;
      case "moment": return `${instant.format(new Date(value))} IST`;
      case "boolean": return value ? "yes" : "no";
      case "texts": case "days": case "integers": return value.join(", ");
      case "document": return JSON.stringify(value);
      default: return String(value);
    }
  }

  const kinds = ["paise", "integer", "number", "percent", "ns", "moment", "boolean", "texts", "days", "integers", "document",
    "text", "day"];
  const format = Object.fromEntries(kinds.map((kind) => [kind, (p) => p.data ? written(kind, p.value) : ""]));

  // What a column is counted over, where that is not n.
  const counted = { post_mean_r: "skill_n", prob_edge: "skill_n" };

  function explain(p) {
    const { meaning, kind } = p.colDef.context;
    if (!p.data) return meaning;
    const over = p.data[counted[p.colDef.field] ?? "n"];
    const n = isGone(over) ? "" : ` (n = ${whole.format(over)})`;
    return `${written(kind, p.value)}\n${p.colDef.headerName}: ${meaning}${n}`;
  }

  const amount = (inr) => money(inr * 100);

  function link(beginning) {
    return (p) => {
      const place = document.createElement(isGone(p.value) ? "span" : "a");
      place.textContent = p.valueFormatted ?? "";
      if (!isGone(p.value)) place.href = beginning + encodeURIComponent(p.value);
      return place;
    };
  }

  function follow(event) {
    if (event.event?.key === "Enter") event.event.target?.querySelector?.("a")?.click();
  }

  // --- grids ------------------------------------------------------------------------------------------------

  const grids = {};
  const operators = { equals: "=", notEqual: "!=", lessThan: "<", lessThanOrEqual: "<=", greaterThan: ">",
    greaterThanOrEqual: ">=" };

  function conditions(column, model, kind) {
    const day = (text) => kind === "moment" ? `${text.slice(0, 10)}T00:00:00+05:30` : text.slice(0, 10);
    const value = (given) => model.filterType === "date" ? day(given)
      : kind === "paise" ? String(Math.round(given * 100)) : String(given);
    const [from, to] = model.filterType === "date" ? [model.dateFrom, model.dateTo] : [model.filter, model.filterTo];
    const dayAfter = (text) => day(new Date(Date.parse(`${text.slice(0, 10)}T00:00:00Z`) + 864e5).toISOString());
    if (kind === "moment") {  // a day is all its moments: up to the 5th includes the 5th, after it begins with the 6th
      if (model.type === "inRange") return [`${column}>=${day(from)}`, `${column}<${dayAfter(to)}`];
      if (model.type === "greaterThan") return [`${column}>=${dayAfter(from)}`];
    }
    if (model.type === "blank") return [`${column}=null`];
    if (model.type === "notBlank") return [`${column}!=null`];
    if (model.type === "inRange") return [`${column}>=${value(from)}`, `${column}<=${value(to)}`];
    if (kind === "boolean") return [`${column}=${/^(y|t|1)/i.test(from)}`];
    return [`${column}${operators[model.type]}${value(from)}`];
  }

  function say(name, sentence) {
    const place = document.querySelector(`.grid-state[data-grid="${name}"]`);
    if (place) place.textContent = sentence;
  }

  // What the filters and headers of a grid ask for; before it is drawn, what its page asks for.
  function asking(grid, filters, sorts) {
    const asked = new URLSearchParams();
    grid.fixed.forEach((filter) => asked.append("filter", filter));
    Object.entries(grid.chosen).forEach(([column, value]) => asked.append("filter", `${column}=${value}`));
    Object.entries(filters ?? {}).forEach(([column, model]) => {
      const { kind } = grid.api.getColumnDef(column).context;
      conditions(column, model, kind).forEach((filter) => asked.append("filter", filter));
    });
    const order = sorts.map(({ colId, sort }) => (sort === "desc" ? "-" : "") + colId).join(",");
    if (order) asked.set("sort", order);
    return asked;
  }

  function source(name, fixed, chosen) {
    const grid = grids[name] = { fixed, chosen, asked: "", cursors: new Map() };
    return {
      async getRows(p) {
        const asked = asking(grid, p.filterModel, p.sortModel);
        if (asked.toString() !== grid.asked) {
          document.querySelector(`.grid-of-${name}`)?.style.removeProperty("max-height");
          grid.asked = asked.toString();
          grid.cursors = new Map();
        }
        asked.set("limit", p.endRow - p.startRow);
        // Rows come one block behind the other, so the place where a block begins is known.
        if (p.startRow > 0) asked.set("cursor", grid.cursors.get(p.startRow) ?? "");
        try {
          const answer = await fetch(`/data/${name}?${asked}`);
          if (answer.status === 401) {
            location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
            return p.failCallback();
          }
          const page = await answer.json();
          if (!answer.ok) throw new Error(page.detail ?? answer.statusText);
          const end = p.startRow + page.items.length;
          grid.cursors.set(end, page.next_cursor);
          if (page.next_cursor === null) fit(name, end);
          p.successCallback(page.items, page.next_cursor === null ? end : -1);
          if (end === 0) grid.api.showNoRowsOverlay(); else grid.api.hideOverlay();
          const rows = `${whole.format(end)} row${end === 1 ? "" : "s"}${page.next_cursor === null ? "" : " read, more below"}`;
          const day = page.newest ? `as of ${page.newest}; ` : "";
          say(name, end === 0 ? "No row fits." : `${rows} · ${day}read ${instant.format(new Date())} IST`);
        } catch (error) {
          p.failCallback();
          say(name, `Could not be read (${error.message}). Change a filter, or load the page again.`);
        }
      },
    };
  }

  // A table of few rows is no higher than they are.
  function fit(name, rows) {
    const place = document.querySelector(`.grid-of-${name}`);
    const head = place?.querySelector(".ag-header")?.offsetHeight ?? 50, sideways = 24;
    if (place) place.style.maxHeight = `${head + Math.max(2, rows) * rowHeight() + sideways}px`;
  }

  // On a phone a long name takes two lines.
  const rowHeight = () => innerWidth < 600 ? 62 : 34;

  function ready(name, event) {
    grids[name].api = event.api;
    if (innerWidth < 600) {  // a long name must leave room for the next column
      const wide = event.api.getColumns().filter((column) => column.getActualWidth() > 180);
      event.api.setColumnWidths(wide.map((column) => ({ key: column.getColId(), newWidth: 180 })));
    }
  }

  function choose(name, chosen) {
    grids[name].chosen = chosen;
    history.replaceState(null, "", `${location.pathname}?${new URLSearchParams(chosen)}`);
    grids[name].api.purgeInfiniteCache();
  }

  function save(name) {
    const { api } = grids[name];
    const sorts = (api?.getColumnState() ?? []).filter(({ sort }) => sort).sort((a, b) => a.sortIndex - b.sortIndex);
    location.assign(`/csv/${name}?${asking(grids[name], api?.getFilterModel(), sorts)}`);
  }

  // A small line drawn from numbers alone.
  function spark(p) {
    const points = p.value ?? [], low = Math.min(...points), span = Math.max(...points) - low || 1;
    const place = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    place.setAttribute("viewBox", "0 0 100 28");
    place.setAttribute("class", "spark");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    line.setAttribute("points", points.map((y, i) =>
      `${(i / Math.max(1, points.length - 1)) * 100},${26 - ((y - low) / span) * 24}`).join(" "));
    place.append(line);
    return place;
  }

  // The page makes its connection after this script; from then on it tells at once when it comes or goes.
  const dialled = setInterval(() => {
    if (!window.socket) return;
    clearInterval(dialled);
    ["connect", "disconnect"].forEach((change) => window.socket.on(change, tick));
    tick();
  }, 50);
  setInterval(tick, 1000);
  addEventListener("load", tick);
  return { turnTheme, format, explain, amount, link, follow, source, rowHeight, ready, choose, save, spark };
})();
