// What this browser keeps for the page's site, so that a conversation goes on after a reload and on other pages.
//
// NAME:visitor   {token, until, since, session, last, seen}   while nobody is identified
// NAME:customer  {session, last, seen}                        once identify() was called; the JWT is never kept
// NAME:sending:KEY  {key, kind, text, at, customer, session}  a message until the server has answered it
//
// One entry a message, so that two tabs never overwrite each other's.

const SEEN_MS = 250; // until another tab, a process of its own, sees what this one has stored

class Store {
  constructor(name) {
    this.name = name;
    this.memory = new Map(); // where the browser keeps nothing for this site
  }

  read(slot) {
    try {
      const value = JSON.parse(this.#get(`${this.name}:${slot}`));
      return value && typeof value === "object" ? value : {};
    } catch {
      return {};
    }
  }

  /** Change some values of a slot; null removes the slot. */
  write(slot, values) {
    const name = `${this.name}:${slot}`;
    if (values === null) this.#remove(name);
    else this.#set(name, JSON.stringify({ ...this.read(slot), ...values }));
  }

  /** Return the messages that the server has not answered yet, oldest first. */
  sending() {
    return this.#names()
      .filter((name) => name.startsWith(`${this.name}:sending:`))
      .map((name) => this.read(name.slice(this.name.length + 1)))
      .filter((message) => message.key)
      .sort((one, other) => one.at - other.at);
  }

  clear() {
    this.#names().filter((name) => name.startsWith(`${this.name}:`)).forEach((name) => this.#remove(name));
  }

  /** Call back with the slot that another tab has changed. */
  watch(changed) {
    addEventListener("storage", (event) => {
      if (event.key === null) changed("visitor"), changed("customer"); // everything was cleared
      else if (event.key.startsWith(`${this.name}:`)) changed(event.key.slice(this.name.length + 1));
    });
  }

  /** Do something that no other tab does at the same time; browsers can do that on pages with https. */
  alone(what, work) {
    if (!navigator.locks) return work();
    return new Promise((done, failed) => {
      navigator.locks.request(`${this.name}:${what}`, async () => {
        await Promise.resolve().then(work).then(done, failed);
        await new Promise((over) => setTimeout(over, SEEN_MS));
      });
    });
  }

  /** Whether the chat is open in this tab, also on the next page of the site. */
  get opened() {
    try {
      return sessionStorage.getItem(`${this.name}:open`) !== null;
    } catch {
      return false;
    }
  }

  set opened(now) {
    try {
      if (now) sessionStorage.setItem(`${this.name}:open`, "");
      else sessionStorage.removeItem(`${this.name}:open`);
    } catch {} // forbidden: the next page begins with the chat closed
  }

  #names() {
    try {
      return [...Object.keys(localStorage), ...this.memory.keys()];
    } catch {
      return [...this.memory.keys()];
    }
  }

  #get(name) {
    if (this.memory.has(name)) return this.memory.get(name);
    return localStorage.getItem(name);
  }

  #set(name, text) {
    try {
      localStorage.setItem(name, text);
      this.memory.delete(name);
    } catch {
      this.memory.set(name, text); // forbidden or full: it lasts as long as the page
    }
  }

  #remove(name) {
    this.memory.delete(name);
    try {
      localStorage.removeItem(name);
    } catch {} // forbidden: then nothing is there
  }
}

/** Return 32 random digits; crypto.randomUUID is missing on pages without https. */
const newKey = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
