// Who is talking, in which session, and what is shown of it.

const LOOKING_MS = { open: 5_000, closed: 30_000 }; // for what a colleague writes, once one has the session

class Conversation {
  #jwt = ""; // in memory alone: whoever has it is the customer
  #fresh = null; // gives another JWT
  #customer = "";
  #era = 0; // which customer or visitor is here; what was asked for an earlier one is not shown
  #shown = ""; // the session
  #last = 0; // message that is shown
  #fetched = 0; // message up to which nothing is missing
  #missed = false; // whether another tab has changed something while this one was sending
  #answers = 0;
  #timer = 0;

  constructor(server, store, words, view) {
    Object.assign(this, { server, store, words, view, loaded: false, handedOver: false });
    this.sending = new Sending(this, store, view.log);
    store.watch((slot) => slot === this.slot && this.#otherTab());
    document.addEventListener("visibilitychange", () => document.hidden || this.#look());
  }

  get slot() {
    return this.#jwt ? "customer" : "visitor";
  }

  get kept() {
    return this.store.read(this.slot);
  }

  /** Return what proves who is here; a visitor's is renewed when half of its life is over, or made. */
  async token() {
    if (this.#jwt) return this.#jwt;
    const good = ({ token, until, since }) => token && until - Date.now() > Date.now() - since;
    if (good(this.kept)) return this.kept.token;
    return this.store.alone("token", async () => {
      const kept = this.store.read("visitor"); // another tab may have been faster
      if (good(kept)) return kept.token;
      const { token, expires_at } = await this.server.call("POST", "visitors", { token: kept.token });
      this.store.write("visitor", { token, until: Date.parse(expires_at), since: Date.now() });
      return token;
    });
  }

  /** Return whether there is another proof after one was refused. */
  async renew(error, token) {
    if (error.status !== 401) return false;
    if (token !== this.#jwt) {
      if (this.store.read("visitor").token === token) this.store.write("visitor", null);
      return true;
    }
    const customer = this.#customer;
    try {
      if (this.#fresh) await this.identify(this.#fresh);
    } catch (problem) {
      if (!(problem instanceof Refusal)) throw problem; // the page's own server cannot be reached just now
    }
    if (token !== this.#jwt) return customer === this.#customer;
    document.dispatchEvent(new Event("rapport:expired"));
    return false;
  }

  /** Return whether a session counts no more; it is then forgotten. */
  lost(error, session) {
    if (error.code !== "no_session") return false;
    if (this.kept.session === session) this.store.write(this.slot, { session: "" });
    return true;
  }

  /** Return the session to speak in; begins one where there is none. */
  async session() {
    if (!this.kept.session) await this.store.alone("session", () => this.kept.session || this.#begin());
    return this.kept.session;
  }

  /** Show the conversation as the server has it, or the greeting of a new one, and go on with what was not sent. */
  async load() {
    this.loaded = true;
    const era = this.#era;
    const waiting = () => era === this.#era && this.view.note(this.words.waiting);
    try {
      await patiently(() => this.#load(), { waiting });
    } catch (error) {
      if (era !== this.#era) return;
      this.loaded = false;
      this.view.note(error.status === 401 ? this.words.expired : error.message);
    }
  }

  async #load() {
    const [era, answers] = [this.#era, this.#answers];
    let page = await this.#page();
    if (!page && this.#jwt && (await this.#newest())) {
      page = await this.#page();
      this.store.write(this.slot, { seen: page?.messages.at(-1)?.message_id });
    }
    if (page?.messages.length && !page.current && !page.handed_over) {
      this.store.write(this.slot, { session: "" });
      page = null;
    }
    const greeting = page?.messages.length ? null : await this.#begin();
    if (era !== this.#era) return;
    if (answers !== this.#answers) return this.#load(); // it has changed since it was fetched
    this.view.clear();
    if (greeting) this.view.log.greet(greeting);
    this.#last = this.#fetched = 0;
    this.#shown = this.kept.session;
    this.#show(page ?? { messages: [], handed_over: false });
    this.sending.resume();
  }

  /** Begin another conversation. */
  async restart() {
    this.sending.giveUp(this.kept.session);
    this.store.write(this.slot, { session: "", last: 0, seen: 0 });
    await this.load();
  }

  /** Note that what is there has been seen. */
  seen() {
    this.view.unread(false);
    if (this.#last > (this.kept.seen ?? 0)) this.store.write(this.slot, { seen: this.#last });
  }

  async rate(message_id, rating) {
    await this.ask("POST", `sessions/${this.kept.session}/feedback`, { body: { message_id, rating } });
  }

  /** Be the customer whom a JWT names, or a function that gives one; what the visitor said becomes theirs. */
  async identify(given) {
    const jwt = typeof given === "function" ? await given() : given;
    const visitor = this.store.read("visitor");
    const headers = visitor.token ? { "X-Rapport-Visitor": visitor.token } : {};
    const proof = { token: jwt, headers };
    const { customer_id, joined } = await patiently(() => this.server.call("POST", "identify", proof));
    const changed = this.#customer !== customer_id;
    const { loaded } = this;
    if (this.#customer && changed) this.#leave();
    this.#jwt = jwt;
    this.#fresh = typeof given === "function" ? given : null;
    this.#customer = customer_id;
    if (joined) this.store.write("customer", { session: visitor.session, last: visitor.last, seen: visitor.seen });
    this.sending.adopt(joined ? visitor.session : "");
    this.store.write("visitor", null);
    this.view.note("");
    if (changed) this.#era++;
    if (changed ? loaded || this.kept.session : this.view.opened && !this.loaded) await this.load();
    else this.sending.resume();
    return customer_id;
  }

  /** Forget everything in this browser. */
  reset() {
    this.store.clear();
    this.#leave();
  }

  /** Ask the API, with another proof where the first is refused. */
  async ask(method, path, request) {
    const token = await this.token();
    try {
      return await this.server.call(method, path, { ...request, token });
    } catch (error) {
      if (!(await this.renew(error, token))) throw error;
      return this.server.call(method, path, { ...request, token: await this.token() });
    }
  }

  /** Go on after a reply, or after a message that was dropped. */
  answered(reply) {
    this.#answers++;
    if (reply) this.#seeTo(reply.message_id, reply.handed_over);
    if (this.sending.busy || (reply && !this.#missed)) return;
    this.#missed = false;
    if (reply) this.#look();
    else this.load();
  }

  #leave() {
    this.#era++;
    this.#jwt = this.#customer = "";
    this.#fresh = null;
    this.#last = this.#fetched = 0;
    this.loaded = this.handedOver = false;
    clearTimeout(this.#timer);
    this.sending.stop();
    this.view.clear();
    this.view.unread(false);
  }

  async #begin() {
    const slot = this.slot;
    const { session_id, greeting } = await this.ask("POST", "sessions", { body: {} });
    if (!this.store.read(slot).session) this.store.write(slot, { session: session_id, last: 0, seen: 0 });
    return greeting;
  }

  /** Return messages of the kept session, the newest or those after one; null where there is no session. */
  async #page(after) {
    const { session } = this.kept;
    if (!session) return null;
    try {
      const query = after === undefined ? "" : `?after=${after}`;
      return await this.ask("GET", `sessions/${session}/messages${query}`);
    } catch (error) {
      if (this.lost(error, session)) return null;
      throw error;
    }
  }

  /** Take up the customer's newest conversation, from whatever browser, where it may go on. */
  async #newest() {
    const [newest] = (await this.ask("GET", "sessions?limit=1")).sessions;
    if (!newest?.current && !newest?.handed_over) return false;
    this.store.write(this.slot, { session: newest.session_id });
    return true;
  }

  #show({ messages, handed_over }, aloud = false) {
    for (const message of messages) this.view.log.turn(message, aloud);
    this.#fetched = messages.at(-1)?.message_id ?? this.#fetched;
    this.#seeTo(this.#fetched, handed_over);
  }

  /** Note up to where messages are shown, and look for a colleague's where one has the session. */
  #seeTo(message_id, handed_over) {
    this.#last = Math.max(this.#last, message_id);
    if (this.#last > (this.kept.last ?? 0)) this.store.write(this.slot, { last: this.#last });
    this.handedOver = handed_over;
    if (this.view.opened) this.seen();
    else this.view.unread(this.#last > (this.kept.seen ?? 0));
    this.#lookLater();
  }

  #lookLater() {
    clearTimeout(this.#timer);
    const wait = this.view.opened ? LOOKING_MS.open : LOOKING_MS.closed;
    if (this.handedOver) this.#timer = setTimeout(() => this.#look(), wait);
  }

  /** Fetch what has been said since, where nothing is under way that shows it anyhow. */
  async #look() {
    const era = this.#era;
    if (this.loaded && !document.hidden && !this.sending.busy) {
      const page = await this.#page(this.#fetched).catch(() => null);
      if (page && era === this.#era && !this.sending.busy) return this.#show(page, true);
    }
    this.#lookLater();
  }

  #otherTab() {
    const { session, last = 0 } = this.kept;
    if (!Object.keys(this.kept).length) {
      this.#leave(); // reset there, or identified
      if (this.view.opened) this.load();
    } else if (!this.loaded || last <= this.#last) return;
    else if (this.sending.busy) this.#missed = true;
    else if (session === this.#shown) this.#look();
    else this.load();
  }
}
