# Shorthands only: make is not needed, every target is one run.py command.
.PHONY: up down status doctor test check lock

up down status doctor test:
	python3 run.py $@

check:
	scripts/check

lock:
	python3 scripts/lock
