// What was said, as a list; what is on its way; the buttons of the last reply; and all of it for screen readers.

class Transcript {
  #asked = new Map(); // key of a message on its way: its two items
  #turns = new Set(); // ids of messages that are shown

  /** `act` says what buttons do: choose(label), rate(message_id, rating). */
  constructor(words, desk, server, act) {
    Object.assign(this, { words, desk, server, act });
    this.list = element("ol", { class: "log", tabindex: 0, "aria-label": words.conversation });
    this.suggestions = element("div", { class: "suggestions" });
    this.spoken = element("div", { class: "hidden", role: "status" });
    this.day = new Intl.DateTimeFormat(languageTag(desk.language), { dateStyle: "long" });
  }

  clear() {
    this.#asked.clear();
    this.#turns.clear();
    this.list.replaceChildren();
    this.#suggest([]);
  }

  greet({ text, sources, suggestions }) {
    this.#add(this.#theirs(text, { sources }));
    this.#suggest(suggestions);
    this.speak(text);
  }

  /** Show a message that was kept, and the reply to it. */
  turn(message, aloud) {
    if (this.#turns.has(message.message_id)) return;
    if (message.text) this.#add(this.#mine(message.text));
    this.#replied(message, message.reply, aloud);
  }

  /** Show a message that is on its way. */
  ask(message) {
    if (this.#asked.get(message.key)?.theirs) return;
    this.drop(message); // one that was refused, and is tried again
    const mine = this.#mine(message.text);
    mine.hidden = !message.text;
    this.#asked.set(message.key, { mine, theirs: null });
    this.#suggest([]);
    this.#add(mine);
    this.#write(message, "");
    this.speak(fill(this.words.writing, { name: this.desk.bot_name }));
  }

  /** Show a reply as far as it is written. */
  piece(message, { text, replaces }) {
    const bubble = this.#asked.get(message.key)?.theirs?.querySelector(".text");
    this.#write(message, replaces || !bubble ? text : bubble.textContent + text);
  }

  /** Show a reply that has been kept; one that is there already is shown once. */
  reply(message, reply) {
    const shown = this.#turns.has(reply.message_id);
    this.#asked.get(message.key)?.theirs?.remove();
    if (shown || !this.#asked.has(message.key)) this.drop(message);
    this.#asked.delete(message.key);
    if (!shown) this.#replied(reply, reply.text, true);
  }

  wait(message) {
    this.#state(message, this.words.waiting);
  }

  refuse(message, text, again) {
    const button = again && element("button", { type: "button", onclick: () => again() }, this.words.again);
    this.#state(message, `${this.words.refused} ${text} `, button);
  }

  drop(message) {
    const { mine, theirs } = this.#asked.get(message.key) ?? {};
    mine?.remove();
    theirs?.remove();
    this.#asked.delete(message.key);
  }

  /** Say something to screen readers. */
  speak(text) {
    this.spoken.textContent = text;
  }

  /** Scroll to the end, or to the beginning of a last item that is longer than what can be seen. */
  settle() {
    const top = this.list.lastElementChild?.offsetTop ?? 0;
    this.list.scrollTop = Math.min(this.list.scrollHeight - this.list.clientHeight, top - 16);
  }

  #add(item) {
    this.list.append(item);
    this.settle();
  }

  #replied(message, text, aloud) {
    this.#turns.add(message.message_id);
    this.#add(this.#theirs(text, message));
    this.#suggest(message.suggestions);
    const name = message.written_by === "colleague" ? this.desk.colleague : this.desk.bot_name;
    if (aloud) this.speak(`${name}: ${text}`);
  }

  #mine(text) {
    const bubble = element("p", { class: "text", dir: "auto" }, text);
    return element("li", { class: "mine" }, this.#name(this.words.you), bubble);
  }

  #theirs(text, { written_by, sources = [], message_id, rating }) {
    const colleague = written_by === "colleague";
    const by = colleague ? element("span", { class: "by" }, this.desk.colleague) : this.#name(this.desk.bot_name);
    const shown = sources.map((source) => this.#source(source));
    const list = shown.length ? element("ul", { class: "sources" }, ...shown) : null;
    const thumbs = message_id && !colleague ? this.#thumbs(message_id, rating) : null;
    return element(
      "li",
      { class: colleague ? "theirs colleague" : "theirs" },
      by,
      element("p", { class: "text", dir: "auto" }, text),
      list || thumbs ? element("div", { class: "under" }, list, thumbs) : null,
    );
  }

  #name(name) {
    return element("span", { class: "hidden" }, `${name}: `);
  }

  #source({ kind, title, url, at }) {
    const label = fill(this.words[kind] ?? this.words.answer, { day: at ? this.day.format(new Date(at)) : "" });
    const href = kind === "article" && url ? this.server.address(url) : "";
    if (!href) return element("li", { dir: "auto" }, title && kind !== "turn" ? `${label}: ${title}` : label);
    const tab = element("span", { class: "hidden" }, ` (${this.words.tab})`);
    const link = element("a", { href, target: "_blank", rel: "noopener" }, title, tab);
    return element("li", { dir: "auto" }, `${label}: `, link);
  }

  #thumbs(message_id, rating) {
    const press = async (pressed, value) => {
      const before = buttons.map((button) => button.getAttribute("aria-pressed"));
      buttons.forEach((button) => button.setAttribute("aria-pressed", button === pressed));
      const failed = await this.act.rate(message_id, value).catch((error) => error);
      if (failed) buttons.forEach((button, place) => button.setAttribute("aria-pressed", before[place]));
      this.speak(failed ? this.words.trouble : this.words.thanks);
    };
    const thumb = (name, value) => {
      const pressed = { "aria-pressed": String(rating === value) };
      return iconButton(name, this.words[name], (event) => press(event.currentTarget, value), pressed);
    };
    const buttons = [thumb("good", 1), thumb("bad", -1)];
    return element("div", { class: "thumbs" }, ...buttons);
  }

  #suggest(labels) {
    const buttons = labels.map((label) =>
      element("button", { type: "button", dir: "auto", onclick: () => this.act.choose(label) }, label),
    );
    this.suggestions.replaceChildren(...buttons);
    this.settle();
  }

  /** Show what is written of the reply to a message on its way. */
  #write(message, text) {
    const items = this.#asked.get(message.key);
    if (!items) return;
    items.mine.querySelector(".state")?.remove();
    if (!items.theirs) {
      items.theirs = this.#theirs("", {});
      this.list.append(items.theirs);
    }
    items.theirs.className = text ? "theirs writing begun" : "theirs writing";
    items.theirs.querySelector(".text").textContent = text;
    this.settle();
  }

  /** Show beside a message on its way what has become of it. */
  #state(message, ...said) {
    const items = this.#asked.get(message.key);
    if (!items) return;
    items.theirs?.remove();
    items.theirs = null;
    items.mine.hidden = false;
    items.mine.querySelector(".text").hidden = !message.text;
    items.mine.querySelector(".state")?.remove();
    items.mine.append(element("span", { class: "state" }, ...said.filter(Boolean)));
    this.settle();
    this.speak(said[0]);
  }
}
