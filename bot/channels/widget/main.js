// Puts the widget on the page that the script stands in, and gives the page `Rapport`.

/** Return what the desk is called and which language it speaks; throws what the page's owner has to put right. */
async function meet(server) {
  let blocked = false;
  const { origin } = new URL(server.base);
  document.addEventListener("securitypolicyviolation", ({ blockedURI }) => (blocked ||= blockedURI.startsWith(origin)));
  return patiently(async () => {
    try {
      return await server.call("GET", "desk").catch((error) => {
        if (error instanceof Refusal) throw error;
        // The browser may have kept it from before this origin was listed.
        return server.call("GET", "desk", { cache: "reload" });
      });
    } catch (error) {
      if (error instanceof Refusal) throw error;
      const reached = await server.answers();
      if (blocked) throw new Refusal(0, "", `Add ${origin} to connect-src of this page's Content-Security-Policy.`);
      if (!reached) throw error;
      const us = location.origin === "null" ? "the address this page is served from (a file has none)" : location.origin;
      throw new Refusal(0, "", `Add ${us} to \`origins\` under \`portals\` in desk.yaml, and start the server again.`);
    }
  });
}

/** Return the widget of a desk, drawn on the page. */
function draw(desk, server, store) {
  const words = wordsIn(desk.language);
  const panel = new Panel(words, desk, server, {
    choose: (text) => talk.sending.send(text),
    human: () => talk.sending.send("", "handoff"),
    restart: () => talk.sending.busy || talk.restart(),
    rate: (message_id, rating) => talk.rate(message_id, rating),
    opened: (now) => {
      store.opened = now;
      if (now && !talk.loaded) talk.load();
      else if (now) talk.seen();
    },
  });
  const talk = new Conversation(server, store, words, panel);
  return { panel, talk };
}

function start(script) {
  const early = Array.isArray(window.Rapport) ? window.Rapport : [];
  const server = new Server(new URL(".", new URL(script.dataset.server ?? script.src, location.href)).href);
  const store = new Store(`rapport:${server.base}${script.dataset.desk ?? ""}`);
  const parsed = document.body ? null : new Promise((resolve) => addEventListener("DOMContentLoaded", resolve));
  const drawn = Promise.all([meet(server), parsed]).then(([desk]) => draw(desk, server, store));
  /** Open the panel again that was open on the page before. */
  const reopen = ({ panel }) => store.opened && !panel.fullScreen.matches && panel.open({ quietly: true });
  drawn.then(
    (widget) => {
      const known = store.read("visitor").session || store.sending().some((message) => !message.customer);
      if (known && !widget.talk.loaded) widget.talk.load().then(() => reopen(widget));
    },
    (error) => console.error(`Rapport: ${error.message}`),
  );
  const api = Object.freeze({
    open: () => drawn.then(({ panel }) => panel.open()),
    close: () => drawn.then(({ panel }) => panel.close()),
    identify: (jwt) => drawn.then((widget) => widget.talk.identify(jwt).then((who) => (reopen(widget), who))),
    reset: () => {
      store.clear(); // also where the server cannot be reached
      return drawn.then(({ panel, talk }) => (panel.close(), talk.reset()));
    },
    push: (...calls) => {
      const failed = (error) => console.error("Rapport:", error);
      calls.forEach((call) => Promise.resolve(api).then(call).catch(failed));
    },
  });
  window.Rapport = api;
  document.dispatchEvent(new Event("rapport:ready"));
  api.push(...early);
}

if (!window.Rapport || Array.isArray(window.Rapport)) start(document.currentScript);
