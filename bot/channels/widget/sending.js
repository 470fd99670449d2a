// Messages on their way: each is sent under a key of its own until the server has answered it, so that a lost
// connection neither loses nor repeats one.

const MOST_FAILURES = 6; // answers of "not now" in a row, before the customer is asked whether to go on
const STATUS = { no_session: 404, key_reused: 422 }; // of an error that comes in a stream; all others may pass

class Sending {
  #queue = [];
  #working = false;
  #stop = new AbortController();

  constructor(who, store, log) {
    Object.assign(this, { who, store, log });
    this.mine = new Set(); // keys of what was typed on this page
  }

  get busy() {
    return this.#queue.length > 0;
  }

  /** Keep and send what a customer typed; `kind` is messages or handoff. */
  send(text, kind = "messages") {
    const { session = "" } = this.who.kept;
    const message = { key: newKey(), kind, text, at: Date.now(), customer: this.who.slot === "customer", session };
    this.mine.add(message.key);
    this.#keep(message);
    this.#add(message);
  }

  /** Show what is on its way, and send what an earlier page could not. */
  resume() {
    const known = new Set(this.#queue.map((message) => message.key));
    this.#queue.forEach((message) => this.log.ask(message));
    for (const message of this.store.sending()) {
      if (!known.has(message.key) && message.customer === (this.who.slot === "customer")) this.#add(message);
    }
  }

  /** Let a visitor's messages be the customer's whom the visitor turned out to be. */
  adopt(session) {
    const waiting = new Map(this.#queue.map((message) => [message.key, message]));
    for (const stored of this.store.sending().filter((message) => !message.customer)) {
      const message = Object.assign(waiting.get(stored.key) ?? stored, { customer: true, session });
      this.mine.add(message.key);
      this.#keep(message);
    }
  }

  /** Forget what could not be sent in a session. */
  giveUp(session) {
    const left = this.store.sending().filter((message) => message.session === session);
    left.forEach(({ key }) => this.store.write(`sending:${key}`, null));
  }

  /** Stop sending, on this page alone. */
  stop() {
    this.#stop.abort();
    this.#stop = new AbortController();
    this.#queue = [];
    this.mine.clear();
  }

  #keep(message) {
    this.store.write(`sending:${message.key}`, message);
  }

  #add(message) {
    this.#queue.push(message);
    this.log.ask(message);
    this.#work();
  }

  async #work() {
    if (this.#working) return;
    this.#working = true;
    while (this.#queue.length) {
      const message = this.#queue[0];
      const stopped = this.#stop.signal;
      const outcome = await patiently(() => this.#deliver(message, stopped), {
        signal: stopped,
        waiting: () => this.log.wait(message),
        most: MOST_FAILURES,
      }).catch((error) => error);
      if (stopped.aborted) continue; // the queue is another one
      this.#queue.shift();
      if (outcome instanceof Error) this.#refused(message, outcome);
      else this.#answered(message, outcome);
    }
    this.#working = false;
  }

  #answered(message, reply) {
    this.store.write(`sending:${message.key}`, null);
    if (reply) {
      this.store.write(this.who.slot, { session: message.session, last: reply.message_id });
      this.log.reply(message, reply);
    } else this.log.drop(message);
    this.who.answered(reply);
  }

  #refused(message, error) {
    const again = error.passes || error.status === 401;
    if (!again) this.store.write(`sending:${message.key}`, null);
    const { expired, trouble } = this.who.words;
    const text = error.status === 401 ? expired : error instanceof Refusal ? error.message : trouble;
    this.log.refuse(message, text, again && (() => this.#add(message)));
  }

  /** Send a message once, in another session or with another proof where the first counts no more. */
  async #deliver(message, stopped) {
    for (let tries = 0; ; tries++) {
      if (!message.session) {
        message.session = await this.who.session();
        this.#keep(message);
      }
      const token = await this.who.token();
      try {
        return await this.#reply(message, token, stopped);
      } catch (error) {
        if (stopped.aborted || tries >= 2) throw error;
        if (token !== (await this.who.token())) continue; // who is here has been identified meanwhile
        if (this.who.lost(error, message.session)) {
          // Somebody else's may lie here who used this browser before: it is not sent for whoever is here now.
          if (message.customer && !this.mine.has(message.key)) return null;
          message.session = "";
        } else if (!(await this.who.renew(error, token))) throw error;
      }
    }
  }

  async #reply({ key, kind, text, session, ...message }, token, signal) {
    const { server } = this.who;
    const request = { token, body: { text }, headers: { "Idempotency-Key": key } };
    if (kind === "handoff") return server.call("POST", `sessions/${session}/handoff`, request);
    for await (const [event, data] of server.stream(`sessions/${session}/messages`, { ...request, signal })) {
      if (event === "reply") return data;
      if (event === "piece") this.log.piece({ key, ...message }, data);
      if (event === "error") throw new Refusal(STATUS[data.error.code] ?? 503, data.error.code, data.error.message);
    }
    throw new TypeError("The connection ended before the reply.");
  }
}
