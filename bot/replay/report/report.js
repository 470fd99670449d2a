// Shows the conversations of a report: found by filters and words, their transcripts unpacked and made when they are
// opened. Whatever came out of a log is put into the page as text, never as markup.
"use strict";
(async () => {
  const PAGE = 50, KEPT = 8; // rows that are added at once; blocks of transcripts that are kept unpacked
  const find = (id) => document.getElementById(id);
  if (!("DecompressionStream" in window)) {
    find("count").textContent = "This browser is too old to unpack the conversations. Open this page in a newer one.";
    return;
  }
  const unpack = (id) => {
    const packed = atob(find(id).textContent), bytes = new Uint8Array(packed.length);
    for (let at = 0; at < packed.length; at++) bytes[at] = packed.charCodeAt(at);
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).json();
  };
  const { of, names, compared } = JSON.parse(find("data").textContent);
  const conversations = await unpack("rows");
  const list = find("list"), count = find("count"), more = find("more"), form = find("filters");
  const plain = new Intl.NumberFormat("en");
  let matching = [], shown = 0;

  const make = (tag, name, ...children) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    element.append(...children.filter((child) => child !== undefined && child !== null && child !== ""));
    return element;
  };
  const called = (kind, key) => names[kind][key] || (key[0] || "").toUpperCase() + key.slice(1).replaceAll("_", " ");
  const percent = (share) => `${Math.round(100 * share)} %`;
  const minute = (at) => at.slice(0, 16).replace("T", " ");
  const whole = (pieces) => (pieces || []).join("");
  const replyOf = (turn) => whole(turn.change ? turn.change.after : turn.reply);

  // ---- what a conversation is found by
  const byId = new Map();
  conversations.forEach((one, rank) => {
    one.rank = rank;
    byId.set(one.id, one);
  });
  const blocks = new Map(); // the last ones that were unpacked
  const unpacked = (block) => {
    const found = blocks.get(block) || unpack(`block-${block}`);
    blocks.delete(block);
    blocks.set(block, found);
    if (blocks.size > KEPT) blocks.delete(blocks.keys().next().value);
    return found;
  };
  const full = async (one) => (await unpacked(one.block))[one.place];
  const wordsOf = (one) => [
    one.id, one.customer, ...(one.before || []).map((said) => said.text),
    ...one.turns.flatMap((turn) => [
      turn.text, turn.label, turn.intent, turn.promise, whole(turn.log), replyOf(turn), turn.change && whole(turn.change.before),
      ...Object.values(turn.facts || {}), ...(turn.sources || []).map((source) => source.title)]),
  ].filter(Boolean).join("\n").toLowerCase();
  const values = (id) => (find(id) ? find(id).value : "");
  const fits = {
    change: (turn, value) => turn.change && (value === "any" || turn.change.verdict === value || turn.change.kind === value),
    agrees: (turn, value) => turn.verdict === value,
    intent: (turn, value) => turn.intent === value || turn.label === value,
    action: (turn, value) => turn.action === value,
  };
  const handed = {
    bot: (one) => one.handed_over, log: (one) => one.log_handed_over,
    only_bot: (one) => one.handed_over && !one.log_handed_over, only_log: (one) => one.log_handed_over && !one.handed_over,
    nobody: (one) => !one.handed_over && !one.log_handed_over,
  };
  const chosen = () => Object.keys(fits).filter((id) => values(id));
  const isHit = (turn, filters) => filters.every((id) => fits[id](turn, values(id)));

  const saying = async (those, words, wanted) => {
    const inBlocks = [], found = new Set();
    for (const one of those) (inBlocks[one.block] ??= []).push(one);
    for (const [block, inBlock] of inBlocks.entries()) {
      if (!inBlock || !wanted()) continue;
      const content = await unpacked(block);
      for (const one of inBlock) {
        const said = wordsOf(content[one.place]);
        if (words.every((word) => said.includes(word))) found.add(one);
      }
    }
    return those.filter((one) => found.has(one));
  };
  let choice = 0; // counts what was asked for: a search that is not the last one gives up
  const choose = async () => {
    const mine = ++choice, wanted = () => mine === choice;
    const words = values("search").toLowerCase().split(/\s+/).filter(Boolean);
    const filters = chosen(), who = values("handed");
    let found = conversations.filter((one) =>
      (!who || handed[who](one)) && (!filters.length || one.turns.some((turn) => isHit(turn, filters))));
    if (words.length) {
      count.textContent = "Searching …";
      found = await saying(found, words, wanted);
      if (!wanted()) return;
    }
    matching = found;
    const time = values("order") === "at";
    matching.sort((a, b) => (time && Date.parse(a.at) - Date.parse(b.at)) || a.rank - b.rank);
    shown = 0;
    list.replaceChildren();
    showMore();
    const all = conversations.length < of ? ` (${plain.format(of)} in the log)` : "";
    count.textContent = `${plain.format(matching.length)} of ${plain.format(conversations.length)} conversations${all}`;
  };
  const showAll = () => {
    for (const field of form.elements) if (field.id !== "order") field.value = "";
    choose();
  };
  const showMore = () => {
    const first = matching[shown];
    const next = matching.slice(shown, shown + PAGE);
    list.append(...next.filter((one) => !(one.row && one.row.isConnected)).map(row));
    shown = Math.min(shown + PAGE, matching.length);
    more.hidden = shown >= matching.length;
    return first;
  };

  // ---- a conversation in the list
  const chips = (one) => {
    const kinds = {};
    for (const turn of one.turns) {
      const verdict = compared ? turn.change && turn.change.verdict : turn.verdict;
      if (verdict) kinds[verdict] = (kinds[verdict] || 0) + 1;
    }
    const made = ["worse", "better"].filter((kind) => kinds[kind]).map((kind) =>
      make("span", `chip ${kind}`, `${called("verdicts", kind)}: ${kinds[kind]}`));
    if (compared && kinds.neutral) made.push(make("span", "chip", `Different: ${kinds.neutral}`));
    if (one.handed_over) made.push(make("span", "chip", `Bot hands over at message ${one.handed_over}`));
    if (one.log_handed_over) made.push(make("span", "chip", `Log handed over at message ${one.log_handed_over}`));
    if (one.alone) made.push(make("span", "chip", "Resolved alone"));
    if (one.parted_after) made.push(make("span", "chip", `Goes its own way from message ${one.parted_after}`));
    return made;
  };
  const row = (one) => {
    const length = `${one.turns.length} ${one.turns.length === 1 ? "message" : "messages"}`;
    const summary = make("summary", "", make("b", "", one.id), ` · ${minute(one.at)} · ${length} `, ...chips(one),
      make("p", "", one.text));
    const details = make("details", "conversation", summary);
    let content = null;
    details.addEventListener("toggle", () => {
      if (details.open && !content) content = full(one).then((all) => details.append(transcript(all)));
    });
    one.row = details;
    return details;
  };

  // ---- a transcript
  const marked = (pieces, tag) => {
    const all = pieces.length === 2 && !pieces[0]; // nothing in common: one quiet mark reads better than many loud ones
    return make("p", "text", ...pieces.map((piece, place) => (place % 2 ? make(tag, all ? "all" : "", piece) : piece)));
  };
  const side = (who, pieces, tag, ...notes) => make("div", "side", make("p", "who", who),
    whole(pieces) ? marked(pieces, tag) : make("p", "quiet", "Nothing was said."), ...notes);
  const note = (...text) => make("p", "quiet", ...text);
  const roles = { agent: "the agent", bot: "the log's bot" };
  const logSide = (turn, pieces) => {
    const by = [...new Set((turn.by || []).map((one) => roles[one.role] || one.role))].join(" and ");
    const labels = [...new Set((turn.by || []).map((one) => one.answer).filter(Boolean))].join(", ");
    return side(`In the log${by ? `: ${by}` : ""}`, pieces, "del", labels ? note(`Approved answer: ${labels}`) : null);
  };
  const understood = (action, intent, confidence) =>
    note(called("actions", action), intent ? ` · ${intent}` : "", confidence ? ` · ${percent(confidence)} sure` : "");
  const sides = (turn) => {
    const change = turn.change, sure = turn.intents ? turn.intents[0][1] : 0;
    const now = [understood(turn.action, turn.intent, sure), turn.promise ? note(`Promises: ${turn.promise}`) : null];
    if (!change) return make("div", "sides", logSide(turn, turn.log),
      side(compared ? "Both runs" : "The bot", turn.reply, "ins", ...now));
    return make("div", "sides", logSide(turn, [change.log || ""]),
      side("The earlier run", change.before, "del", understood(change.action, change.intent, change.confidence)),
      side("This run", change.after, "ins", ...now));
  };
  const unfold = (title, items) => (items.length
    ? make("details", "", make("summary", "", title), make("ul", "", ...items.map((item) => make("li", "", ...item)))) : null);
  const past = (memory) => {
    const at = memory.id.lastIndexOf("#"), other = at > 0 && byId.get(memory.id.slice(0, at));
    if (!other) return [memory.id];
    const open = make("button", "", memory.id), said = make("span");
    open.type = "button";
    open.addEventListener("click", () => goTo(other, open.closest(".conversation")));
    full(other).then((all) => {
      const turn = all.turns.find((one) => one.number === Number(memory.id.slice(at + 1)));
      if (turn) said.textContent = ` “${turn.text}”`;
    });
    return [open, said];
  };
  const remembered = (memory) => [
    make("b", "", memory.used ? "Used. " : "Known. "), `${called("memories", memory.kind)} `, ...past(memory),
    `, ${minute(memory.at)}: ${memory.why}`];
  const unfolded = (turn) => {
    const memories = turn.memories || [], used = memories.filter((one) => one.used).length;
    const facts = Object.entries(turn.facts || {}), times = Object.entries(turn.ms || {});
    const intents = (turn.intents || []).map(([name, share]) => [`${name}: ${percent(share)}`]);
    return [
      unfold(`Memory: ${used} used, ${memories.length} known`, [...memories].sort((a, b) => (b.used || 0) - (a.used || 0)).map(remembered)),
      unfold(`Sources: ${(turn.sources || []).length}`, (turn.sources || []).map((one) => [`${called("sources", one.kind)}: ${one.title}`])),
      unfold(`Details in the message: ${facts.length}`, facts.map(([name, value]) => [`${name}: ${value}`])),
      unfold("Understood as", [...intents, ...(turn.label ? [[`The log's label: ${turn.label}`]] : [])]),
      unfold(`Time: ${(turn.ms && turn.ms.total ? turn.ms.total : 0).toFixed(1)} ms`,
        times.map(([stage, ms]) => [`${called("stages", stage)}: ${ms.toFixed(2)} ms`])),
      unfold("Buttons", (turn.suggestions || []).map((one) => [one])),
    ];
  };
  const verdictOf = (turn) => {
    const change = turn.change, made = [];
    if (change) {
      const causes = (change.causes || []).map((part) => called("parts", part)).join(", ");
      made.push(make("span", `chip ${change.verdict}`, change.harm ? called("harms", change.harm) : called("verdicts", change.verdict)),
        make("span", "chip", called("changes", change.kind)),
        make("span", "chip", causes ? `Because of ${causes}` : "No single part is known to explain it"));
    } else if (turn.verdict !== "unknown") {
      made.push(make("span", `chip ${turn.verdict}`, `${called("verdicts", turn.verdict)} as the log`.replace(/^(Worse|Better) as/, "$1 than")));
    }
    return made.concat((turn.judged || []).map((text) => make("span", "chip", text)));
  };
  const transcript = (one) => {
    const filters = chosen(), made = make("div", "transcript", note(`Customer ${one.customer}`));
    for (const said of one.before || []) made.append(make("p", "who", roles[said.role] || said.role), make("p", "text", said.text));
    for (const turn of one.turns) {
      const hit = filters.length && isHit(turn, filters);
      made.append(make("div", hit ? "turn hit" : "turn",
        make("p", "who", `${turn.number}. Customer, ${minute(turn.at)}`), make("p", "text customer", turn.text),
        sides(turn), make("p", "", ...verdictOf(turn)), ...unfolded(turn).filter(Boolean)));
    }
    return made;
  };
  const goTo = (one, from) => {
    if (!one.row || !one.row.isConnected) from.after(row(one));
    one.row.open = true;
    one.row.querySelector("summary").focus();
    one.row.scrollIntoView();
  };

  // ---- the filters
  const offer = (id, first, options) => {
    if (!find(id)) return;
    find(id).append(...[["", first], ...options].map(([value, text]) => {
      const option = make("option", "", text);
      option.value = value;
      return option;
    }));
  };
  const counted = (of) => {
    const counts = new Map();
    for (const one of conversations) for (const key of new Set(one.turns.flatMap(of).filter(Boolean))) counts.set(key, (counts.get(key) || 0) + 1);
    return [...counts].sort((a, b) => b[1] - a[1]);
  };
  offer("change", "Any, or none", [["any", "Something changed"], ...["worse", "better", "neutral"].map((key) => [key, called("verdicts", key)]),
    ...counted((turn) => [turn.change && turn.change.kind]).map(([key, n]) => [key, `${called("changes", key)} (${n})`])]);
  offer("agrees", "Any", ["worse", "better", "same", "unknown"].map((key) => [key, called("verdicts", key)]));
  offer("intent", "Any", counted((turn) => [turn.intent, turn.label]).map(([key, n]) => [key, `${key} (${n})`]));
  offer("action", "Anything", counted((turn) => [turn.action]).map(([key, n]) => [key, `${called("actions", key)} (${n})`]));
  offer("handed", "Any", [["bot", "By the bot"], ["log", "In the log"], ["only_bot", "By the bot alone"], ["only_log", "In the log alone"], ["nobody", "Not at all"]]);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", (event) => event.target.id !== "search" && choose());
  find("all").addEventListener("click", () => showAll());
  let waiting = 0;
  find("search").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(choose, 200);
  });
  more.addEventListener("click", () => showMore().row.querySelector("summary").focus());
  form.hidden = false;
  choose();
})();
