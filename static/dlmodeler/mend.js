/* Choosing files and collecting changes to them, until a new data is made of these. Kept for each data in the tab. */
(() => {
  "use strict";

  const bar = document.querySelector("[data-mend]");
  const { fill, toast, words: site } = window.dlm;
  const { Modal } = window.tabler;
  const words = bar.dataset;
  const key = `dlm-mend-${bar.dataset.mend}`;
  const MAX_NAMES = 10_000; // in one step
  const MAX_STEPS = 32;
  const number = new Intl.NumberFormat(document.documentElement.lang || "en");
  const bySingleFiles = new Set(["exclude", "relabel"]);

  let selected = new Set();
  let steps = [];
  let lastChosen = null;

  /* -- Keeping ------------------------------------------------------------------------------- */
  function load() {
    try {
      const kept = JSON.parse(window.sessionStorage.getItem(key)) ?? {};
      selected = new Set(kept.selected);
      steps = kept.steps ?? [];
    } catch {
      [selected, steps] = [new Set(), []];
    }
  }

  function keep() {
    try {
      if (selected.size || steps.length) window.sessionStorage.setItem(key, JSON.stringify({ selected: [...selected], steps }));
      else window.sessionStorage.removeItem(key);
    } catch {
      toast(words.wordFull, "error");
    }
    show();
  }

  /* -- Changing ------------------------------------------------------------------------------ */
  // Steps run in their order. Those of single files may be put together, but not across a step of many: what that does
  // depends on those before it.
  function recent() {
    const last = steps.findLastIndex((step) => !bySingleFiles.has(step.op));
    return [steps.slice(0, last + 1), steps.slice(last + 1)];
  }

  const without = (some, names) =>
    some.map((step) => (step.files ? { ...step, files: step.files.filter((name) => !names.has(name)) } : step)).filter((step) => !step.files || step.files.length);

  function put(fresh) {
    if (fresh.length > MAX_STEPS) {
      toast(words.wordMany, "error");
      return false;
    }
    steps = fresh;
    keep();
    return true;
  }

  /** Adds a step for single files, with the names among those of steps like it; what was done to them before is taken back. */
  function addFiles(step, names) {
    const [before, last] = recent();
    const isLike = (other) => other.op === step.op && other.label === step.label;
    const others = without(last, new Set(names));
    const all = [...others.filter(isLike).flatMap((each) => each.files), ...names];
    const pieces = [];
    for (let start = 0; start < all.length; start += MAX_NAMES) pieces.push({ ...step, files: all.slice(start, start + MAX_NAMES) });
    return put([...before, ...others.filter((each) => !isLike(each)), ...pieces]);
  }

  function addStep(step) {
    const same = JSON.stringify(step);
    return steps.length && JSON.stringify(steps.at(-1)) === same ? true : put([...steps.filter((each) => each.op !== step.op || each.op === "rename_label"), step]);
  }

  function undo(names) {
    put(without(steps, new Set(names)));
  }

  /** The label that the file gets, or null if it is left out. */
  function outcome(sets, name, label) {
    let now = label;
    for (const [place, step] of steps.entries()) {
      if (step.op === "exclude" && sets[place].has(name)) return null;
      if (step.op === "relabel" && sets[place].has(name)) now = step.label;
      if (step.op === "rename_label" && now === step.from) now = step.to;
    }
    return now;
  }

  /* -- Showing ------------------------------------------------------------------------------- */
  const rows = () => [...document.querySelectorAll("[data-file]")];
  const boxes = () => [...document.querySelectorAll("[data-choose]")];
  const nameOf = (box) => box.closest("[data-file]").dataset.file;

  function showRows() {
    const sets = steps.map((step) => new Set(step.files));
    for (const row of rows()) {
      const name = row.dataset.file;
      const label = row.querySelector("[data-lightbox]")?.dataset.label ?? "";
      const now = outcome(sets, name, label);
      if (now === null) row.dataset.change = "excluded";
      else if (now !== label) row.dataset.change = "relabelled";
      else delete row.dataset.change;
      const place = row.querySelector("[data-label-shown]");
      if (place) place.textContent = (now ?? label) || (place.tagName === "TD" ? "–" : "");
      const box = row.querySelector("[data-choose]");
      if (box) box.checked = selected.has(name);
      row.classList.toggle("dlm-file-chosen", selected.has(name));
    }
    const all = document.querySelector("[data-choose-all]");
    if (all) {
      const count = boxes().filter((box) => box.checked).length;
      all.checked = count > 0 && count === boxes().length;
      all.indeterminate = count > 0 && !all.checked;
    }
  }

  function summary() {
    const sum = (op) => new Set(steps.filter((step) => step.op === op).flatMap((step) => step.files)).size;
    const told = [];
    if (sum("exclude")) told.push(fill(words.wordExcluded, { count: number.format(sum("exclude")) }));
    if (sum("relabel")) told.push(fill(words.wordRelabelled, { count: number.format(sum("relabel")) }));
    for (const step of steps) {
      if (step.op === "rename_label") told.push(fill(words.wordRenamed, step));
      if (step.op === "drop_duplicates") told.push(step.near ? words.wordNear : words.wordDuplicates);
      if (step.op === "drop_rejected") told.push(words.wordRejected);
    }
    return told.join(" · ");
  }

  function show() {
    const place = (name) => bar.querySelector(`[data-mend-${name}]`);
    place("selection").hidden = !selected.size;
    place("selected").textContent = fill(words.wordSelected, { count: number.format(selected.size) });
    place("changes").hidden = !steps.length;
    place("summary").textContent = summary();
    bar.hidden = !selected.size && !steps.length;
    document.body.classList.toggle("dlm-mending", !bar.hidden);
    showRows();
  }

  /* -- Making -------------------------------------------------------------------------------- */
  const dialog = document.getElementById("mend-dialog");

  function foresee() {
    return window.htmx.ajax("POST", words.mendUrl, { target: "#mend-body", swap: "innerHTML", values: { steps: JSON.stringify(steps) } });
  }

  /** Hides the dialog, also one that is just being shown: that would not be heard of. */
  function close(opened) {
    const modal = Modal.getInstance(opened);
    modal.hide();
    if (opened.classList.contains("show")) opened.addEventListener("shown.bs.modal", () => modal.hide(), { once: true });
  }

  function make() {
    document.getElementById("mend-body").replaceChildren();
    Modal.getOrCreateInstance(dialog).show();
    foresee();
  }

  document.addEventListener("htmx:load", (event) => {
    for (const input of event.detail.elt.querySelectorAll?.("[data-mend-steps]") ?? []) input.value = JSON.stringify(steps);
    if (event.detail.elt.querySelector?.("[data-file]")) showRows();
  });

  document.addEventListener("htmx:beforeOnLoad", (event) => {
    if (!dialog.contains(event.detail.elt) || !event.detail.xhr.getResponseHeader("HX-Redirect")) return;
    window.sessionStorage.removeItem(key); // the new data has them
  });

  /* -- Choosing ------------------------------------------------------------------------------ */
  function choose(names, on) {
    for (const name of names) {
      if (on) selected.add(name);
      else selected.delete(name);
    }
    keep();
  }

  async function chooseMatching(query) {
    const answer = await fetch(`${words.namesUrl}${query}`, { headers: { Accept: "application/json" } });
    const found = await answer.json().catch(() => ({}));
    if (answer.ok) choose(found.names, true);
    else toast(found.error ?? site.requestFailed, "error");
  }

  const actions = {
    exclude: () => addFiles({ op: "exclude" }, [...selected]) && choose([...selected], false),
    undo: () => undo([...selected]),
    clear: () => choose([...selected], false),
    discard: () => put([]),
    make,
  };

  document.addEventListener("click", (event) => {
    const box = event.target.closest("[data-choose]");
    if (box) {
      const all = boxes();
      const from = all.indexOf(lastChosen);
      const to = all.indexOf(box);
      const range = event.shiftKey && from >= 0 ? all.slice(Math.min(from, to), Math.max(from, to) + 1) : [box];
      lastChosen = box;
      choose(range.map(nameOf), box.checked);
      return;
    }
    const button = event.target.closest("button");
    if (!button) return;
    const { mendDo, mendStep, mendRemove, mendExclude, chooseMatching: query } = button.dataset;
    if (mendDo) actions[mendDo]();
    else if (mendStep && addStep(JSON.parse(mendStep))) make();
    else if (mendExclude) addFiles({ op: "exclude" }, JSON.parse(mendExclude));
    else if (query) chooseMatching(query).catch(() => toast(site.offline, "error"));
    else if (mendRemove) {
      put(steps.filter((_, place) => place !== Number(mendRemove)));
      if (steps.length) foresee();
      else close(dialog);
    }
  });

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-choose-all]")) choose(boxes().map(nameOf), event.target.checked);
  });

  // Arrow keys lead from box to box, in a grid by rows too.
  document.addEventListener("keydown", (event) => {
    const box = event.target.closest?.("[data-choose]");
    if (!box || !event.key.startsWith("Arrow")) return;
    const all = boxes();
    const top = (each) => each.closest("[data-file]").offsetTop;
    const line = all.filter((each) => top(each) === top(all[0])).length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -line, ArrowDown: line }[event.key];
    const next = all[all.indexOf(box) + step];
    if (!next) return;
    event.preventDefault();
    if (event.shiftKey) choose([nameOf(box), nameOf(next)], true);
    next.focus();
  });

  document.querySelector("[data-mend-relabel]").addEventListener("submit", (event) => {
    event.preventDefault();
    const label = event.target.elements.label.value.trim();
    if (addFiles({ op: "relabel", label }, [...selected])) choose([...selected], false);
    close(document.getElementById("relabel"));
    event.target.reset();
  });

  document.querySelector("[data-mend-rename]").addEventListener("submit", (event) => {
    event.preventDefault();
    const { from, to } = event.target.elements;
    const step = { op: "rename_label", from: from.value, to: to.value.trim() };
    if (step.from !== step.to) addStep(step);
    close(document.getElementById("rename-label"));
    event.target.reset();
  });

  document.addEventListener("show.bs.modal", (event) => {
    if (event.target.id !== "rename-label") return;
    const label = event.relatedTarget.dataset.label;
    event.target.querySelector("[name=from]").value = label;
    event.target.querySelector("[data-mend-from]").textContent = label;
  });

  document.addEventListener("shown.bs.modal", (event) => event.target.querySelector("[list]")?.focus());
  document.addEventListener("dlm:turned", showRows);
  window.addEventListener("pageshow", () => {
    load();
    show();
  });
})();
