// The launcher and the panel it opens: a shadow root, so that neither the page nor the widget changes the other's look.

const FULL_SCREEN = "(max-width: 600px), (max-height: 480px)"; // as in style.css

class Panel {
  #opener = null; // what has the focus again after closing

  /** `act` says what buttons do: choose(label), rate(message_id, rating), restart(), human(), opened(now). */
  constructor(words, desk, server, act) {
    Object.assign(this, { words, act, fullScreen: matchMedia(FULL_SCREEN) });
    const choose = (label) => (act.choose(label), this.input.focus());
    this.log = new Transcript(words, desk, server, { ...act, choose });
    this.dot = element("span", { class: "dot", hidden: true });
    this.launcher = iconButton("chat", words.open, () => (this.opened ? this.close() : this.open()), {
      class: "launcher",
      "aria-expanded": "false",
      "aria-controls": "panel",
    });
    this.launcher.append(icon("close"), this.dot);
    this.panel = this.#drawn(fill(words.chat, { name: desk.bot_name }), desk.name);
    this.host = element("rapport-widget", { lang: languageTag(desk.language) });
    const root = this.host.attachShadow({ mode: "open" });
    const style = new CSSStyleSheet(); // needs no 'unsafe-inline'
    style.replaceSync(STYLE);
    root.adoptedStyleSheets = [style];
    root.append(this.launcher, this.panel);
    root.addEventListener("keydown", (event) => this.#pressed(event));
    // The page's own shortcuts are not for what is typed in here.
    for (const type of ["keydown", "keyup", "keypress"]) root.addEventListener(type, (event) => event.stopPropagation());
    this.fullScreen.addEventListener("change", () => this.#setModal());
    document.body.append(this.host);
    // Some sites put another body into the page instead of loading another page.
    const stay = () => this.host.isConnected || document.body?.append(this.host);
    new MutationObserver(stay).observe(document.documentElement, { childList: true });
  }

  get opened() {
    return !this.panel.hidden;
  }

  /** Open the panel; `quietly` leaves the focus where it is. */
  open({ quietly = false } = {}) {
    if (!this.opened) {
      this.#opener = document.activeElement;
      this.panel.hidden = false;
      this.#name();
      this.#setModal();
      this.act.opened(true);
      this.log.settle();
    }
    if (!quietly) this.input.focus();
  }

  close() {
    if (!this.opened) return;
    const inside = this.host.shadowRoot.activeElement;
    this.panel.hidden = true;
    this.#name();
    this.act.opened(false);
    if (!inside) return;
    const back = [this.host, document.body, null].includes(this.#opener) || !this.#opener.isConnected;
    (back ? this.launcher : this.#opener).focus();
  }

  unread(now) {
    this.dot.hidden = !now;
    this.#name();
  }

  /** Say something about the conversation as a whole; "" takes it away. */
  note(text) {
    this.remark.textContent = text;
  }

  clear() {
    this.note("");
    this.log.clear();
  }

  #name() {
    const { close, unread, open } = this.words;
    const label = this.opened ? close : this.dot.hidden ? open : unread;
    this.launcher.setAttribute("aria-label", label);
    this.launcher.title = label;
    this.launcher.setAttribute("aria-expanded", this.opened);
  }

  #drawn(label, title) {
    const { words, act } = this;
    this.input = element("textarea", {
      rows: 1,
      "aria-label": words.message,
      placeholder: words.write,
      dir: "auto",
      enterkeyhint: "send",
      oninput: () => this.#grow(),
    });
    const human = () => (act.human(), this.input.focus());
    this.remark = element("p", { class: "note", role: "status" });
    return element(
      "section",
      { class: "panel", id: "panel", role: "dialog", "aria-label": label, hidden: true },
      element(
        "div",
        { class: "head" },
        element("h2", { dir: "auto" }, title),
        iconButton("restart", words.restart, () => (act.restart(), this.input.focus())),
        iconButton("close", words.close, () => this.close()),
      ),
      this.log.list,
      this.log.suggestions,
      this.remark,
      this.log.spoken,
      element(
        "form",
        { onsubmit: (event) => (event.preventDefault(), this.#send()) },
        this.input,
        element("button", { class: "send", "aria-label": words.send, title: words.send }, icon("send")),
      ),
      element("button", { type: "button", class: "human", onclick: human }, words.human),
    );
  }

  #send() {
    if (!this.input.value.trim()) return;
    this.act.choose(this.input.value);
    this.input.value = "";
    this.#grow();
  }

  #grow() {
    this.input.style.height = "auto";
    this.input.style.height = `${this.input.scrollHeight + 2}px`; // with its borders
  }

  /** Where the panel covers the page, nothing behind it can be reached. */
  #setModal() {
    this.panel.setAttribute("aria-modal", this.fullScreen.matches);
  }

  #pressed(event) {
    if (event.key === "Escape" && this.opened) this.close();
    if (event.key === "Enter" && event.target === this.input && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.#send();
    }
    if (event.key === "Tab" && this.opened && this.fullScreen.matches) this.#stayInside(event);
  }

  #stayInside(event) {
    const places = [...this.panel.querySelectorAll("button:enabled, a, textarea, [tabindex]")];
    const [first, last] = [places[0], places.at(-1)];
    const end = event.shiftKey ? first : last;
    if (event.target !== end) return;
    event.preventDefault();
    (event.shiftKey ? last : first).focus();
  }
}
