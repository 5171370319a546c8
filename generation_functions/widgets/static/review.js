/**
 * The review of one step's rows (pairs, chunks, characters, conversations) as an anywidget: a queue on the left, one
 * row with its texts, votes and history on the right.
 *
 * `Kernel` asks and hears answers, `Review` holds what is known and what a person has done, and the two panes draw
 * that; keys and buttons share the table COMMANDS. Whatever is shown comes from models and files, and may be hostile:
 * it goes into the page as text alone (`said`, `.value`), and never into markup or an attribute.
 */

const PATIENCE_MS = 8000; // without an answer for so long, an act counts as not saved
const SEARCH_PAUSE_MS = 200;
const CHANGE_PAUSE_MS = 100; // changes made elsewhere come in bursts
const ITEM_PAUSE_MS = 120; // while a key is held down, only the row it stops at is fetched
const TITLE_CHARACTERS = 300; // more does not show in two lines

const FILTERS = ["all", "pending", "kept", "rejected", "failed", "edited", "flagged", "split"];
const SIGNS = { kept: "✓", rejected: "✗", failed: "!", pending: "○" };
const VOTES = { pass: "✓", fail: "✗", abstain: "–" };
const DONE = { accept: "accepted", reject: "rejected", flag: "flagged", edit: "edited", undo: "undone" };
const OUTCOME = { accept: { status: "kept", mark: "accepted" }, reject: { status: "rejected", mark: "rejected" } };

const COMMANDS = [
  { name: "accept", keys: ["a"], label: "Accept", help: "accept, and go on to the next" },
  { name: "reject", keys: ["x", "r"], label: "Reject", help: "reject, and go on to the next" },
  { name: "flag", keys: ["f"], label: "Flag", help: "flag, or take the flag off" },
  { name: "edit", keys: ["e"], label: "Edit", help: "edit the first field" },
  { name: "undo", keys: ["u", "Backspace"], label: "Undo", help: "take the last act back" },
  { name: "next", keys: ["j", "ArrowDown"], label: "Next", help: "next" },
  { name: "previous", keys: ["k", "ArrowUp"], label: "Previous", help: "previous" },
  { name: "search", keys: ["/"], label: "Search", help: "search" },
  { name: "help", keys: ["?"], label: "Keys", help: "show or hide this list" },
  { name: "back", keys: ["Escape"], label: "Back", help: "from a field back to the list; a draft stays" },
];
const KEYS = new Map(COMMANDS.flatMap(({ name, keys }) => keys.map((key) => [key, name])));

export default { render };

function render({ model, el }) {
  const view = new View(model);
  el.replaceChildren(view.root);
  view.review.open();
  return () => view.review.close();
}

/** Questions to the kernel. Every view of a model hears every answer; a name of its own lets it know which are its. */
class Kernel {
  constructor(model, onChanged) {
    this.model = model;
    this.name = Math.random().toString(36).slice(2, 8);
    this.count = 0;
    this.waiting = new Map();
    this.hear = (message) => {
      const own = this.waiting.get(message.req);
      this.waiting.delete(message.req);
      if (own) own(message);
      else if (message.changed || message.saved) onChanged(message);
    };
    model.on("msg:custom", this.hear);
  }

  /** The reply, whenever it comes; a message that cannot even be sent is answered with an `error`. */
  ask(message) {
    return new Promise((answer) => {
      const req = `${this.name}-${++this.count}`;
      this.waiting.set(req, answer);
      try {
        this.model.send({ ...message, req });
      } catch (error) {
        this.hear({ req, error: `the kernel cannot be reached: ${error.message}` });
      }
    });
  }

  close() {
    this.model.off("msg:custom", this.hear);
  }
}

/**
 * What is known of the rows, and what a person has done to them. `known` is what the kernel said last; acts that wait
 * for their answer are in `writes`, and `shown` is the one with the other. It knows nothing of the page.
 */
class Review {
  constructor(model, view) {
    this.kernel = new Kernel(model, (message) => this.heardOfChange(message));
    this.patience = model.get("patience") || PATIENCE_MS;
    this.view = view;
    this.about = { step: "", what: "", can: [], page: 50, notes: [], begin: { find: {}, n: null } };
    this.facets = { checks: [], sources: [], reasons: [] };
    this.find = { status: "all", check: "", source: "", reason: "", text: "" };
    this.sort = "order";
    this.counts = {};
    this.rows = []; // the numbers of this page's rows, in their order
    this.offset = 0;
    this.total = 0;
    this.loads = 0;
    this.known = new Map();
    this.selected = null;
    this.place = 0; // of the selected row on the page, also when it has left the page since
    this.item = null; // the last that was fetched, which may be that of the row before
    this.writes = [];
    this.drafts = new Map(); // by number: {version, texts, refused, sent, saving}
    this.unsaved = new Set(); // the numbers of rows whose last act was not saved
    this.confirming = null;
    this.message = "";
    this.trouble = { read: "", write: "" };
  }

  async open() {
    this.view.draw();
    const about = await this.read({ op: "open" });
    if (!about) return;
    this.about = about;
    Object.assign(this.find, about.begin.find);
    this.selected = about.begin.n;
    await this.load(0, "keep");
    await this.loadFacets();
  }

  async loadFacets() {
    this.facets = (await this.read({ op: "facets" })) ?? this.facets;
    this.view.draw();
  }

  close() {
    for (const timer of [this.changeTimer, this.itemTimer, this.searchTimer]) clearTimeout(timer);
    this.leave();
    this.kernel.close();
  }

  // Reading

  async read(message) {
    const silence = setTimeout(() => this.complain("read", "no answer from the kernel yet"), this.patience);
    const reply = await this.kernel.ask(message);
    clearTimeout(silence);
    this.complain("read", reply.error ?? "");
    return reply.error === undefined ? reply : null;
  }

  /** Load a page and select its row `place` (-1 is the last), or with "keep" the page of the one that is selected. */
  async load(offset, place) {
    const load = ++this.loads;
    this.confirming = null;
    const question = { op: "page", offset, limit: this.about.page, find: { ...this.find }, sort: this.sort };
    const page = await this.read(place === "keep" ? { ...question, around: this.selected } : question);
    if (!page || load !== this.loads) return;
    if (page.later) {
      this.say(page.refused); // the kernel says when it is worth to ask again
      return;
    }
    this.rows = page.rows.map((row) => row.n);
    for (const row of page.rows) this.known.set(row.n, row);
    this.offset = page.offset;
    this.total = page.total;
    this.counts = page.counts;
    const kept = place === "keep" && this.known.has(this.selected) ? this.selected : null;
    this.select(kept ?? this.rows.at(place === "keep" ? 0 : place) ?? null);
  }

  heardOfChange(message) {
    this.counts = message.counts ?? this.counts;
    clearTimeout(this.changeTimer);
    this.changeTimer = setTimeout(() => this.load(this.offset, "keep"), CHANGE_PAUSE_MS);
    if (!this.facets.done) this.loadFacets();
    this.view.draw();
  }

  look(changes, sort = this.sort) {
    this.leave();
    Object.assign(this.find, changes);
    this.sort = sort;
    this.view.draw();
    return this.load(0, 0);
  }

  searchSoon(text) {
    clearTimeout(this.searchTimer);
    this.searchTimer = setTimeout(() => this.search(text), SEARCH_PAUSE_MS);
  }

  search(text) {
    clearTimeout(this.searchTimer);
    if (text !== this.find.text) this.look({ text });
  }

  select(n) {
    if (n !== this.selected) this.leave();
    this.selected = n;
    const place = this.rows.indexOf(n);
    if (place >= 0) this.place = place;
    if (n === null) this.item = null;
    else this.fetchSoon();
    this.view.draw();
  }

  fetchSoon() {
    const pause = performance.now() - (this.fetched ?? -Infinity) < ITEM_PAUSE_MS ? ITEM_PAUSE_MS : 0;
    this.fetched = performance.now();
    clearTimeout(this.itemTimer);
    this.itemTimer = setTimeout(() => this.fetch(this.selected), pause);
  }

  async fetch(n) {
    if (n === null) return;
    const known = this.known.get(n);
    const reply = await this.read({ op: "item", n });
    if (!reply || n !== this.selected || known !== this.known.get(n)) return; // something newer was said since
    this.take(reply.item);
    this.view.draw();
  }

  take(item) {
    const { n, title, status, marks, votes, version, made } = item;
    this.known.set(n, { n, title, status, marks, votes, version, made });
    if (n === this.selected) this.item = item;
  }

  // Going through the rows

  step(by) {
    const at = this.rows.indexOf(this.selected);
    const to = at >= 0 ? at + by : this.place; // the row is gone from the page: the one in its place is next
    if (to in this.rows) this.select(this.rows[to]);
    else this.turn(by);
  }

  async turn(by) {
    if (!(by > 0 ? this.hasNext() : this.hasPrevious())) {
      this.say(by > 0 ? "that was the last one" : "that is the first one");
      return;
    }
    this.leave();
    this.selected = null; // nothing can be accepted that has not come yet
    this.view.draw();
    if (by > 0) await this.load(this.offset + this.rows.length, 0);
    else await this.load(Math.max(0, this.offset - this.about.page), -1);
  }

  /** The kernel keeps the list of the first page for later ones: rows stay in it that match the filter no more. */
  hasNext() {
    return this.offset + this.rows.length < this.total;
  }

  hasPrevious() {
    return this.offset > 0;
  }

  /** The row as it will be when the acts that wait are saved; nothing is expected of those that are late. */
  shown(n) {
    return this.writes.filter((write) => write.n === n && !write.late).reduce(expected, this.known.get(n));
  }

  // Acts

  can(kind) {
    return this.about.can.includes(kind);
  }

  verdict(kind) {
    const n = this.selected;
    if (!this.known.has(n) || !this.can(kind)) return;
    if (!this.known.get(n).made) {
      this.say(`${named(n)} is ${this.known.get(n).status}: nothing was made of it yet that could be ruled on`);
      return;
    }
    if (this.drafts.get(n)?.refused) {
      this.complain("write", `${named(n)} has text that was refused: save it over what stands, or discard it`);
      return;
    }
    const textSaved = this.saveDraft(n);
    const { status, marks } = this.shown(n);
    const outcome = OUTCOME[kind];
    const already = outcome && status === outcome.status && marks.includes(outcome.mark);
    if (already) this.say(`${named(n)} is ${outcome.mark} already`);
    else this.act(kind, n, { needs: textSaved });
    if (outcome) this.step(1);
  }

  undo() {
    if (!this.can("undo")) return;
    const settle = (reply) => {
      if (!reply.item) return;
      for (const row of reply.also ?? []) this.known.set(row.n, row);
      this.take(reply.item);
      if (reply.saved && this.rows.includes(reply.n) && !this.view.isTyping()) this.select(reply.n);
    };
    this.write("undo", null, () => ({ op: "undo" }), settle);
  }

  /** How many match is asked anew, as those that were acted on may match no more. */
  async askBulk(kind) {
    await this.load(0, "keep");
    this.confirming = { kind, count: this.total };
    this.view.draw();
  }

  cancelBulk() {
    this.confirming = null;
    this.view.draw();
  }

  async bulk() {
    const { kind, count } = this.confirming;
    const find = { ...this.find };
    this.cancelBulk();
    await this.saveDraft(this.selected);
    await this.write(kind, null, () => ({ op: "bulk", kind, find, count }), () => this.load(0, "keep"));
  }

  /** True when it is saved. The version is that of the row when the message goes, after earlier acts on it. */
  act(kind, n, { changes, version, needs } = {}) {
    let sent = 0;
    const message = () => {
      sent = version?.() ?? this.known.get(n).version;
      return { op: "act", n, kind, version: sent, ...(changes && { changes }) };
    };
    const settle = ({ saved, refused, item, also }) => {
      for (const row of also ?? []) this.known.set(row.n, row);
      const draft = this.drafts.get(n);
      if (draft && saved && draft.version === sent) draft.version = item.version;
      if (draft && refused && kind === "edit") draft.refused = refused;
      this.take(item);
      if (draft) this.dropWhatStands(draft, item, saved && changes);
    };
    return this.write(kind, n, message, settle, needs);
  }

  /**
   * Send one act; true when it is saved. It goes at once, but after the acts it may build on: those on the same row,
   * and those of which nobody knows the row (`n` is null: undo, bulk). One that stays late holds up nothing else.
   */
  async write(kind, n, message, settle, needs = true) {
    const before = this.writes.filter((other) => n === null || other.n === null || other.n === n);
    const write = { kind, n, late: false };
    write.released = new Promise((release) => (write.release = release));
    const silence = setTimeout(() => this.holdUp(write), this.patience);
    this.writes.push(write);
    this.view.draw();
    await Promise.all(before.map((other) => other.released));
    const reply = (await needs)
      ? await this.kernel.ask(message())
      : { error: `it was not ${DONE[kind]}, as its text was not saved` };
    clearTimeout(silence);
    if (reply.error === undefined) settle(reply);
    this.note(write, reply);
    write.release();
    this.view.draw();
    return Boolean(reply.saved);
  }

  holdUp(write) {
    write.late = true;
    write.release();
    this.view.draw();
  }

  /** Also done with are acts on the same row that went before and were never answered. */
  note(write, reply) {
    const answered = (other) => other === write || (reply.saved && other.late && other.n === write.n);
    this.writes = this.writes.filter((other) => !answered(other));
    this.counts = reply.counts ?? this.counts;
    const which = write.n === null ? "" : `${named(write.n)}: `;
    if (reply.saved) {
      this.unsaved.delete(write.n);
      this.trouble.write = "";
      this.message = `saved: ${inWords(write, reply)}`;
      return;
    }
    if (reply.refused && !reply.item && write.kind === "undo") {
      this.message = reply.refused;
      return;
    }
    if (write.n !== null) this.unsaved.add(write.n);
    this.trouble.write = `NOT saved: ${which}${reply.error ?? reply.refused}`;
  }

  say(message) {
    this.message = message;
    this.view.draw();
  }

  complain(kind, message) {
    if (message === this.trouble[kind]) return;
    this.trouble[kind] = message;
    this.view.draw();
  }

  /** {text, bad}: what the status line says. */
  status() {
    const waiting = this.writes.length;
    if (this.writes.some((write) => write.late)) {
      const acts = waiting === 1 ? "1 act waits" : `${waiting} acts wait`;
      return { text: `NOT saved: ${acts} for an answer from the kernel`, bad: true };
    }
    const trouble = this.trouble.write || this.trouble.read;
    return { text: trouble || this.message, bad: Boolean(trouble) };
  }

  // Drafts

  type(name, text) {
    const { n, version } = this.item;
    const draft = this.drafts.get(n) ?? { version, texts: {}, refused: "" };
    draft.texts[name] = text;
    this.drafts.set(n, draft);
    this.dropWhatStands(draft, this.item);
    this.view.draw();
  }

  /** What was saved may come back with other signs in it, for those that no screen can show. */
  dropWhatStands(draft, item, saved = {}) {
    for (const { name, text } of item.fields) {
      if ([lines(text), saved[name]].includes(draft.texts[name])) delete draft.texts[name];
    }
    if (Object.keys(draft.texts).length === 0) this.drafts.delete(item.n);
  }

  leave() {
    if (this.selected !== null) this.saveDraft(this.selected);
  }

  /** True, or a promise of it, when nothing is left unsaved. Text that was refused goes only `over` what stands. */
  saveDraft(n, over = false) {
    const draft = this.drafts.get(n);
    if (!draft) return true;
    if (over) Object.assign(draft, { refused: "", version: this.known.get(n).version });
    if (draft.refused) return false;
    const sent = JSON.stringify(draft.texts);
    const underway = this.writes.some((write) => write.kind === "edit" && write.n === n && !write.late);
    if (draft.sent === sent && underway) return draft.saving;
    const saving = this.act("edit", n, { changes: { ...draft.texts }, version: () => draft.version }).then((saved) => {
      if (draft.saving === saving) Object.assign(draft, { sent: undefined, saving: undefined });
      this.view.draw();
      return saved;
    });
    return Object.assign(draft, { sent, saving }).saving;
  }

  discard(n) {
    this.drafts.delete(n);
    this.unsaved.delete(n);
    this.say(`${named(n)} is back to what stands`);
  }
}

/** A row as it is to be expected after an act. */
function expected(row, { kind }) {
  const { status, mark } = OUTCOME[kind] ?? { status: row.status, mark: DONE[kind] };
  if (kind === "undo") return row;
  if (kind === "flag" && row.marks.includes(mark)) return { ...row, marks: row.marks.filter((one) => one !== mark) };
  const verdicts = OUTCOME[kind] ? ["accepted", "rejected"] : [mark];
  return { ...row, status, marks: [...row.marks.filter((one) => !verdicts.includes(one)), mark] };
}

function inWords(write, reply) {
  if (reply.saved.count !== undefined) return `${DONE[write.kind]} ${number(reply.saved.count)}`;
  const unflagged = write.kind === "flag" && !reply.item.marks.includes("flagged");
  return `${unflagged ? "flag taken off" : DONE[write.kind]} ${named(reply.item.n)}`;
}

/** A row's number for people. */
function named(n) {
  return `#${n + 1}`;
}

/** Text as a textarea gives it back. */
function lines(text) {
  return text.replace(/\r\n?/g, "\n");
}

function number(count) {
  return count.toLocaleString("en");
}

// The page

class View {
  constructor(model) {
    this.review = new Review(model, this);
    this.queue = new Queue(this.review);
    this.pane = new ItemPane(this.review, (name) => this.commands[name]());
    this.title = make("strong");
    this.status = make("div", { class: "gm-status gm-text", role: "status", "aria-live": "polite", dir: "auto" });
    this.notes = make("div", { class: "gm-notes" });
    this.help = helpPanel();
    const helpButton = commandButton("help", () => this.commands.help());
    const head = make("div", { class: "gm-head" }, this.title, this.status, helpButton);
    const panes = make("div", { class: "gm-panes" }, this.queue.root, this.pane.root);
    const frame = make("div", { class: "gm-frame" }, head, this.help, this.notes, panes);
    this.root = make("div", { class: "gm-review", tabindex: "-1", "aria-label": "Review", role: "region" }, frame);
    for (const type of ["keydown", "keyup", "keypress"]) {
      this.root.addEventListener(type, (event) => this.guard(event));
    }
    this.commands = this.allCommands();
  }

  allCommands() {
    const { review, queue, pane } = this;
    const fromList = (command) => () => {
      command();
      queue.focus();
    };
    return {
      accept: fromList(() => review.verdict("accept")),
      reject: fromList(() => review.verdict("reject")),
      flag: fromList(() => review.verdict("flag")),
      edit: () => pane.edit(),
      undo: fromList(() => review.undo()),
      next: fromList(() => review.step(1)),
      previous: fromList(() => review.step(-1)),
      search: () => queue.search.focus(),
      help: fromList(() => (this.help.hidden = !this.help.hidden)),
      back: fromList(() => (this.help.hidden = true)),
      save: fromList(() => review.saveDraft(review.selected)),
      "save-over": fromList(() => review.saveDraft(review.selected, true)),
      discard: fromList(() => review.discard(review.selected)),
      "undo-this": fromList(() => review.act("undo", review.selected)),
    };
  }

  draw() {
    const focused = this.root.contains(this.active());
    const { step, what, notes } = this.review.about;
    this.title.textContent = step && `${step}: ${what}`;
    const { text, bad } = this.review.status();
    if (this.status.textContent !== text) this.status.textContent = text;
    this.status.classList.toggle("gm-bad", bad);
    redraw(this.notes, notes, () => notes.map((note) => said("div", note)));
    this.queue.draw();
    this.pane.draw();
    const lost = !this.root.contains(this.active()) || this.active().disabled;
    if (focused && lost) this.queue.focus(); // else keys would go to the notebook
  }

  active() {
    return this.root.getRootNode().activeElement;
  }

  isTyping() {
    return this.root.contains(this.active()) && this.active().matches("textarea, input, select");
  }

  /**
   * Keep keys from the notebook, in which x cuts and d d deletes a cell: JupyterLab listens while they bubble, Notebook
   * while they are captured, which only the attribute that `make` gives to what takes the focus prevents. That
   * attribute would silence Ctrl+S too, so it is handed on.
   */
  guard(event) {
    const chord = event.ctrlKey || event.metaKey || event.altKey;
    if (event.key === "Enter" || !chord) event.stopPropagation();
    if (event.type !== "keydown" || event.isComposing) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") this.handOn(event);
    else if (this.isTyping()) this.keyInField(event, chord);
    else if (!chord && KEYS.has(event.key)) {
      event.preventDefault();
      this.commands[KEYS.get(event.key)]();
    }
  }

  keyInField(event, chord) {
    const save = event.key === "Enter" && chord && event.target.matches("textarea");
    if (!save && event.key !== "Escape") return;
    event.preventDefault();
    if (save && this.pane.focusRefused(event.target)) return;
    this.commands[save ? "save" : "back"]();
  }

  handOn(event) {
    const notebook = this.root.closest(".jp-Notebook");
    if (!notebook) return;
    event.preventDefault();
    event.stopPropagation();
    const { key, code, keyCode, ctrlKey, metaKey, shiftKey } = event;
    const same = { key, code, keyCode, ctrlKey, metaKey, shiftKey, bubbles: true, cancelable: true };
    notebook.dispatchEvent(new KeyboardEvent("keydown", same));
  }
}

/** The left pane: filters, the rows of a page, what can be done to all that match. */
class Queue {
  constructor(review) {
    this.review = review;
    this.filters = FILTERS.map((name) => this.filterButton(name));
    this.search = make("input", { type: "search", placeholder: "Search ( / )", "aria-label": "Search", dir: "auto" });
    this.search.addEventListener("input", () => review.searchSoon(this.search.value));
    this.search.addEventListener("keydown", (event) => this.searchNow(event));
    this.selects = [
      this.facetSelect("check", "Any check", "Failed check"),
      this.facetSelect("source", "Any source", "Source"),
      this.facetSelect("reason", "Any reason", "Reason"),
    ];
    this.sort = make("select", { "aria-label": "Order", "data-sort": "" });
    fillSelect(this.sort, [["order", "In order"], ["disagreement", "Split votes first"]]);
    this.sort.addEventListener("change", () => review.look({}, this.sort.value));
    this.list = make("div", { class: "gm-list", role: "listbox", tabindex: "0", "aria-label": "Rows" });
    this.rows = new Map();
    this.previous = button("Previous page", { "data-turn": "previous" }, () => review.turn(-1));
    this.next = button("Next page", { "data-turn": "next" }, () => review.turn(1));
    this.range = make("span", { class: "gm-range" });
    this.bulk = make("div", { class: "gm-bulk" });
    this.root = make(
      "div",
      { class: "gm-queue" },
      make("div", { class: "gm-filters", role: "group", "aria-label": "Filter" }, ...this.filters),
      make("div", { class: "gm-selects" }, this.search, ...this.selects.map(({ box }) => box), this.sort),
      this.list,
      make("div", { class: "gm-paging" }, this.previous, this.range, this.next),
      this.bulk,
    );
  }

  filterButton(name) {
    return button("", { "data-filter": name }, () => this.review.look({ status: name }));
  }

  facetSelect(name, any, label) {
    const box = make("select", { "aria-label": label, "data-find": name, dir: "auto" });
    box.addEventListener("change", () => this.review.look({ [name]: box.value }));
    return { name, any, box };
  }

  searchNow(event) {
    if (event.key !== "Enter") return;
    this.review.search(this.search.value);
    this.focus();
  }

  focus() {
    this.list.focus({ preventScroll: true });
  }

  draw() {
    const { review } = this;
    for (const filter of this.filters) this.drawFilter(filter);
    for (const select of this.selects) this.drawSelect(select);
    if (!this.search.matches(":focus")) this.search.value = review.find.text;
    const names = review.rows.length ? review.rows : "Nothing matches.";
    redraw(this.list, names, () => this.freshRows());
    for (const [n, row] of this.rows) this.drawRow(n, row);
    const last = review.offset + review.rows.length;
    const range = `${number(review.offset + 1)} to ${number(last)} of ${number(review.total)}`;
    this.range.textContent = review.rows.length ? range : "";
    this.previous.disabled = !review.hasPrevious();
    this.next.disabled = !review.hasNext();
    this.drawBulk();
  }

  drawFilter(filter) {
    const name = filter.dataset.filter;
    const count = this.review.counts[name];
    filter.setAttribute("aria-pressed", String(this.review.find.status === name));
    const shown = count === undefined ? "" : number(count);
    redraw(filter, shown, () => [`${name} `, make("span", { class: "gm-count" }, shown)]);
  }

  drawSelect({ name, any, box }) {
    const choices = this.review.facets[`${name}s`];
    box.hidden = choices.length === 0;
    redraw(box, choices, () => {
      const options = choices.map((choice) => [choice[0], `${choice.at(-2)} (${number(choice.at(-1))})`]);
      return optionsOf([["", any], ...options]);
    });
    box.value = this.review.find[name];
  }

  freshRows() {
    this.rows = new Map(this.review.rows.map((n) => [n, this.freshRow(n)]));
    return this.rows.size ? [...this.rows.values()] : [make("div", { class: "gm-empty" }, "Nothing matches.")];
  }

  freshRow(n) {
    const id = `gm-${this.review.kernel.name}-row-${n}`;
    const row = make("div", { class: "gm-row", role: "option", id, "data-n": n });
    row.addEventListener("click", () => {
      this.review.select(n);
      this.focus();
    });
    return row;
  }

  drawRow(n, row) {
    const { review } = this;
    const shown = review.shown(n);
    const selected = n === review.selected;
    const chips = [...shown.marks, ...progressOf(review, n)];
    row.setAttribute("data-status", shown.status);
    const fresh = selected && row.getAttribute("aria-selected") !== "true";
    row.setAttribute("aria-selected", String(selected));
    redraw(row, [shown, chips], () => [
      statusSign(shown.status),
      said("span", shown.title.slice(0, TITLE_CHARACTERS), { class: "gm-title" }),
      make("span", { class: "gm-under" }, named(n), ...chips.map(chip), voteSum(shown.votes)),
    ]);
    if (fresh) this.reveal(row);
  }

  /** Scrolls the list alone: `scrollIntoView` would move the notebook too, wherever somebody is in it. */
  reveal(row) {
    this.list.setAttribute("aria-activedescendant", row.id);
    const [inner, outer] = [row.getBoundingClientRect(), this.list.getBoundingClientRect()];
    if (inner.top < outer.top) this.list.scrollTop += inner.top - outer.top;
    if (inner.bottom > outer.bottom) this.list.scrollTop += inner.bottom - outer.bottom;
  }

  drawBulk() {
    const { review } = this;
    const count = review.total;
    const kinds = count > 0 ? ["accept", "reject"].filter((kind) => review.can(kind)) : [];
    const asked = review.confirming;
    redraw(this.bulk, [kinds, count, asked], () => (asked ? this.confirmation(asked) : this.bulkButtons(kinds, count)));
  }

  bulkButtons(kinds, count) {
    return kinds.map((kind) => {
      const label = `${capital(kind)} all ${number(count)}`;
      const attributes = { "data-bulk": kind, "aria-label": `${label} shown by this filter` };
      return button(label, attributes, async () => {
        await this.review.askBulk(kind);
        this.bulk.querySelector('[data-bulk="cancel"]').focus();
      });
    });
  }

  confirmation({ kind, count }) {
    const yes = () => {
      this.review.bulk();
      this.focus();
    };
    const no = () => {
      this.review.cancelBulk();
      this.focus();
    };
    return [
      make("span", { class: "gm-ask" }, `${capital(kind)} all ${number(count)} shown by this filter?`),
      button(`${capital(kind)} ${number(count)}`, { "data-bulk": "confirm", class: "gm-strong" }, yes),
      button("Cancel", { "data-bulk": "cancel" }, no),
    ];
  }
}

/** The right pane: one row with all that is known of it. */
class ItemPane {
  constructor(review, run) {
    this.review = review;
    this.run = run;
    this.fields = new Map();
    this.title = make("div", { class: "gm-headline" });
    const names = ["accept", "reject", "flag", "edit", "undo", "previous", "next"];
    this.buttons = names.map((name) => commandButton(name, () => run(name)));
    this.fieldBox = make("div", { class: "gm-fields" });
    this.reason = make("div");
    this.verdicts = make("div", { class: "gm-verdicts" });
    this.history = make("div");
    this.texts = make("div", { class: "gm-texts" });
    const left = make("div", { class: "gm-column" }, this.reason, this.fieldBox, this.verdicts, this.history);
    const columns = make("div", { class: "gm-columns" }, left, this.texts);
    const regions = { role: "region", tabindex: "0", "aria-label": "The selected row" };
    this.body = make("div", { class: "gm-body", ...regions }, columns);
    const moves = make("div", { class: "gm-moves" }, ...this.buttons.slice(-2));
    const acts = this.buttons.slice(0, -2);
    const bar = make("div", { class: "gm-bar", role: "toolbar", "aria-label": "Acts" }, ...acts, moves);
    this.root = make("div", { class: "gm-item" }, bar, this.title, this.body);
  }

  /** Into the first field, as soon as it is there. */
  edit() {
    const box = this.body.inert ? null : this.fieldBox.querySelector("textarea");
    this.editWhenShown = this.body.inert ? this.review.selected : null;
    box?.focus();
  }

  /** When the text was refused: go to the button that saves it all the same, which is a decision of its own. */
  focusRefused(box) {
    const over = box.closest(".gm-field").querySelector('[data-act="save-over"]');
    over?.focus();
    return Boolean(over);
  }

  draw() {
    const { review } = this;
    const { item, selected } = review;
    const row = selected === null ? null : review.shown(selected);
    this.drawButtons(row);
    const chips = row ? [...row.marks, ...progressOf(review, selected)] : [];
    redraw(this.title, [row, chips], () => (row ? headline(row, chips) : []));
    this.body.inert = item?.n !== selected || selected === null;
    this.body.setAttribute("aria-busy", String(this.body.inert && selected !== null));
    this.body.hidden = item === null;
    if (item) this.drawItem(item);
  }

  drawButtons(row) {
    for (const command of this.buttons) {
      const name = command.dataset.act;
      const moves = name === "next" || name === "previous";
      command.hidden = !moves && !this.review.can(name);
      command.disabled = !moves && name !== "undo" && !row?.made;
      if (name in OUTCOME) command.setAttribute("aria-pressed", String(row?.marks.includes(DONE[name]) ?? false));
      if (name === "flag") command.setAttribute("aria-pressed", String(row?.marks.includes("flagged") ?? false));
    }
  }

  drawItem(item) {
    const fresh = item.n !== this.drawn;
    this.drawn = item.n;
    if (fresh) this.body.scrollTop = 0;
    const { reason, verdicts, texts, beside, history } = item;
    redraw(this.reason, reason, () => (reason ? [said("p", reason, { class: "gm-reason" })] : []));
    this.drawFields(item, fresh);
    redraw(this.verdicts, [item.n, verdicts], () => verdictBoxes(verdicts));
    redraw(this.texts, [item.n, texts, beside], () => [...texts.map(passage), ...beside.map(pairBeside)]);
    const open = !fresh && this.history.querySelector("details[open]") !== null;
    redraw(this.history, [item.n, history], () => this.historyBox(history, open));
    if (this.editWhenShown === item.n && !this.body.inert) this.edit();
  }

  /** Fields that are the same stay in the page: what a person types in one is never drawn anew. */
  drawFields(item, fresh) {
    const same = (field) => this.fields.get(field.name)?.editable === this.isEditable(field);
    if (fresh || item.fields.length !== this.fields.size || !item.fields.every(same)) {
      const block = (field) => [field.name, new FieldBlock(field, this.isEditable(field), this)];
      this.fields = new Map(item.fields.map(block));
      this.fieldBox.replaceChildren(...[...this.fields.values()].map((field) => field.root));
    }
    const draft = this.review.drafts.get(item.n);
    for (const field of item.fields) this.fields.get(field.name).draw(field, draft);
  }

  isEditable(field) {
    return field.editable && this.review.can("edit");
  }

  historyBox(history, open) {
    if (history.length === 0) return [];
    const lines = history.map(({ number: act, kind, when, what, stands }) => {
      const line = said("li", `${when}  ${kind}${what ? ` (${what})` : ""}, act ${act}${stands ? "" : ", taken back"}`);
      line.classList.toggle("gm-gone", !stands);
      return line;
    });
    const undo = button("Undo the last act on this one", { "data-act": "undo-this" }, () => this.run("undo-this"));
    const undoable = this.review.can("undo") && history.some((act) => act.stands);
    const summary = make("summary", {}, `History: ${history.length === 1 ? "1 act" : `${history.length} acts`}`);
    const parts = [summary, make("ol", {}, ...lines), ...(undoable ? [undo] : [])];
    return [make("details", open ? { open: "" } : {}, ...parts)];
  }
}

/** One field: its text, or a box to edit it, with what has become of it underneath. */
class FieldBlock {
  constructor(field, editable, pane) {
    this.editable = editable;
    this.run = pane.run;
    const attributes = { id: `gm-${pane.review.kernel.name}-${field.name}`, "data-field": field.name };
    const asText = { ...attributes, class: "gm-static" };
    this.text = editable ? this.textBox(attributes, pane.review) : said("div", "", asText);
    this.label = editable ? make("label", { for: attributes.id }) : make("span", { class: "gm-label" });
    this.about = said("span", "", { class: "gm-about" });
    this.state = make("div", { class: "gm-state" });
    this.change = make("div", { class: "gm-change" });
    const head = make("div", { class: "gm-fieldhead" }, this.label, this.about);
    this.root = make("div", { class: "gm-field" }, head, this.text, this.state, this.change);
  }

  textBox(attributes, review) {
    const box = make("textarea", { ...attributes, class: "gm-text", dir: "auto", spellcheck: "true" });
    box.addEventListener("input", () => review.type(box.dataset.field, box.value));
    return box;
  }

  draw(field, draft) {
    this.label.textContent = field.label;
    this.about.textContent = field.about;
    const drafted = draft && field.name in draft.texts;
    const text = drafted ? draft.texts[field.name] : field.text;
    this.put(text);
    const state = drafted && { refused: draft.refused, saving: draft.saving !== undefined, stands: field.text };
    redraw(this.state, state, () => (drafted ? this.draftState(state) : []));
    redraw(this.change, field.diff, () => (field.diff ? [wordDiff(field.diff)] : []));
  }

  put(text) {
    if (!this.editable) {
      this.text.textContent = text;
      return;
    }
    if (this.text.value !== lines(text)) this.text.value = text;
    this.text.rows = rowsFor(text);
  }

  draftState({ refused, saving, stands }) {
    if (saving) return [make("span", {}, "saving…")];
    const discard = button("Discard", { "data-act": "discard" }, () => this.run("discard"));
    if (!refused) return [make("span", { class: "gm-warn" }, "not saved yet"), commandSave(this.run), discard];
    const over = button("Save mine over that", { "data-act": "save-over" }, () => this.run("save-over"));
    return [
      said("div", `NOT saved: ${refused}`, { class: "gm-bad" }),
      make("div", { class: "gm-label" }, "What stands now"),
      said("div", stands, { class: "gm-static gm-stands" }),
      over,
      discard,
    ];
  }
}

/** Browsers that do not size a textarea to its content go by this guess. */
function rowsFor(text) {
  const wrapped = text.split("\n").reduce((sum, line) => sum + 1 + Math.floor(line.length / 90), 0);
  return Math.min(14, Math.max(2, wrapped));
}

function progressOf(review, n) {
  const waiting = review.writes.filter((write) => write.n === n);
  if (review.unsaved.has(n) || waiting.some((write) => write.late)) return ["not saved"];
  if (waiting.length > 0) return ["saving"];
  return review.drafts.has(n) ? ["draft"] : [];
}

function headline(row, chips) {
  const title = said("span", row.title.slice(0, TITLE_CHARACTERS), { class: "gm-title" });
  const status = make("span", { class: "gm-statusword", "data-status": row.status }, row.status);
  return [statusSign(row.status), status, title, make("span", { class: "gm-under" }, named(row.n), ...chips.map(chip))];
}

function statusSign(status) {
  const sign = SIGNS[status] ?? "?";
  return make("span", { class: "gm-sign", "data-status": status, role: "img", "aria-label": status }, sign);
}

function chip(name) {
  return make("span", { class: "gm-chip", "data-mark": name }, name);
}

function voteSum([passed, failed, abstained]) {
  if (passed + failed + abstained === 0) return "";
  const label = `votes: ${passed} passed, ${failed} failed, ${abstained} abstained`;
  const parts = [["pass", passed], ["fail", failed], ["abstain", abstained]].filter(([, count]) => count > 0);
  const shown = parts.map(([mark, count]) => make("span", { "data-vote": mark }, `${count}${VOTES[mark]}`));
  return make("span", { class: "gm-votes", role: "img", "aria-label": label, title: label }, ...shown);
}

function voteMark(mark) {
  return make("span", { class: "gm-vote", "data-vote": mark, role: "img", "aria-label": mark }, VOTES[mark] ?? "?");
}

/** A pair that failed was written again and had all checks anew: those of the wordings before are folded away. */
function verdictBoxes(verdicts) {
  const last = verdicts.filter(({ earlier }) => earlier).length;
  const boxes = verdicts.map(verdictBox);
  if (last === 0) return boxes;
  const summary = make("summary", {}, `Checks of earlier wordings: ${last}`);
  const earlier = make("div", { class: "gm-verdicts" }, ...boxes.slice(0, last));
  return [...boxes.slice(last), make("details", {}, summary, earlier)];
}

function verdictBox({ label, passed, says, votes }) {
  const [vote, word] = passed ? ["pass", "passed"] : ["fail", "failed"];
  const outcome = make("span", { class: "gm-outcome", "data-vote": vote }, word);
  const strip = make("span", { class: "gm-strip" }, ...votes.map(({ mark }) => voteMark(mark)));
  const head = [outcome, said("span", label, { class: "gm-check" }), strip, said("span", says, { class: "gm-about" })];
  if (votes.length === 0) return make("div", { class: "gm-verdict" }, ...head);
  const reasons = votes.map(({ mark, reason }) => make("li", {}, voteMark(mark), said("span", reason)));
  const attributes = { class: "gm-verdict", ...(passed ? {} : { open: "" }) };
  return make("details", attributes, make("summary", {}, ...head), make("ul", {}, ...reasons));
}

function wordDiff(diff) {
  const tags = { "-": "del", "+": "ins", "=": "span" };
  const words = diff.map(([sign, text]) => said(tags[sign] ?? "span", text));
  const about = make("span", { class: "gm-label" }, "Changed by hand");
  return make("div", {}, about, make("div", { class: "gm-diff gm-text", dir: "auto" }, ...words));
}

function passage({ title, note, parts }) {
  const paragraphs = [];
  for (const { text, marked, opens_paragraph: opens } of parts) {
    if (opens || paragraphs.length === 0) paragraphs.push(make("p", { class: "gm-text", dir: "auto" }));
    paragraphs.at(-1).append(said(marked ? "mark" : "span", text), " ");
  }
  const heading = [said("span", title, { class: "gm-label" }), said("span", note, { class: "gm-about" })];
  return make("section", { class: "gm-passage" }, make("div", { class: "gm-fieldhead" }, ...heading), ...paragraphs);
}

function pairBeside({ title, lines: entries }) {
  const parts = entries.flatMap(([label, text]) => [said("dt", label), said("dd", text)]);
  return make("section", { class: "gm-passage" }, said("div", title, { class: "gm-label" }), make("dl", {}, ...parts));
}

function helpPanel() {
  const entries = COMMANDS.map(({ keys, help }) => [keys.map(keyName), help]);
  entries.push([["Ctrl+Enter"], "in a field: save"]);
  const parts = entries.map(([keys, help]) =>
    make("div", {}, make("dt", {}, ...keys.map((key) => make("kbd", {}, key))), make("dd", {}, help)),
  );
  return make("dl", { class: "gm-help", hidden: "" }, ...parts);
}

function keyName(key) {
  return { ArrowDown: "↓", ArrowUp: "↑", Escape: "Esc" }[key] ?? key;
}

function commandButton(name, run) {
  const { label, keys } = COMMANDS.find((command) => command.name === name);
  const made = button(label, { "data-act": name, "aria-keyshortcuts": keys.join(" ") }, run);
  made.append(make("kbd", { "aria-hidden": "true" }, keyName(keys[0])));
  return made;
}

function commandSave(run) {
  const made = button("Save", { "data-act": "save", class: "gm-strong" }, () => run("save"));
  made.append(make("kbd", { "aria-hidden": "true" }, "Ctrl+Enter"));
  return made;
}

function button(label, attributes, run) {
  const made = make("button", { type: "button", ...attributes }, label);
  made.addEventListener("click", run);
  return made;
}

function optionsOf(choices) {
  return choices.map(([value, label]) => {
    const option = make("option", { dir: "auto" }, label);
    option.value = value;
    return option;
  });
}

function fillSelect(box, choices) {
  box.replaceChildren(...optionsOf(choices));
}

function capital(word) {
  return word[0].toUpperCase() + word.slice(1);
}

const drawn = new WeakMap();

/** Fill a box, unless it shows these data already: what is open, focused or marked in it stays so. */
function redraw(box, data, build) {
  const now = JSON.stringify([data]);
  if (drawn.get(box) === now) return;
  drawn.set(box, now);
  box.replaceChildren(...build());
}

/** An element with somebody else's text in it. */
function said(tag, text, attributes = {}) {
  const names = `gm-text ${attributes.class ?? ""}`.trim();
  return make(tag, { ...attributes, class: names, dir: "auto" }, text);
}

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  const takesFocus = "tabindex" in attributes || ["input", "select", "textarea", "button", "summary"].includes(tag);
  if (takesFocus) made.setAttribute("data-lm-suppress-shortcuts", "true");
  made.append(...children);
  return made;
}
