// Keeps the list of runs on the team's Replay page as it is on the server, without loading the page again.
"use strict";
(() => {
  const EVERY_MS = 1000, IDLE_MS = 5000;
  const list = document.getElementById("runs"), news = document.getElementById("news");
  const ask = async (path) => {
    const answer = await fetch(path, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(answer.status === 401 ? "Log in again to see how far the runs are." : "The server does not answer.");
    return answer;
  };
  const shownState = () => [...list.querySelectorAll("[data-run]")].map((row) => `${row.dataset.run} ${row.dataset.state}`).join();
  const replaced = async (runs) => {
    const text = await (await ask("/team/replay/list")).text();
    const page = new DOMParser().parseFromString(text, "text/html"); // our own template, everything in it escaped; nothing runs
    list.replaceChildren(...page.body.children);
    const ended = runs.filter((one) => !["running", "waiting"].includes(one.state)).length;
    news.textContent = `${ended} of ${runs.length} runs have ended.`;
  };
  const look = async () => {
    let busy = true;
    try {
      const runs = await (await ask("/team/replay/progress")).json();
      busy = runs.some((one) => one.state === "running" || one.state === "waiting");
      const opened = list.querySelector(".acts details[open]"); // somebody is about to press a button in there
      if (!opened && runs.map((one) => `${one.name} ${one.state}`).join() !== shownState()) await replaced(runs);
      for (const one of runs.filter((run) => run.state === "running")) {
        const row = [...list.querySelectorAll("[data-run]")].find((row) => row.dataset.run === one.name);
        const bar = row && row.querySelector("progress");
        if (bar) {
          if (one.share) bar.value = one.share; // without a value it moves, which says that something happens
          row.querySelector(".what").textContent = one.what;
        }
      }
    } catch (error) {
      news.textContent = error.message;
    }
    setTimeout(look, busy ? EVERY_MS : IDLE_MS);
  };
  look();
})();
