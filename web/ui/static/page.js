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

  setInterval(tick, 1000);
  addEventListener("load", tick);
  return { turnTheme };
})();
