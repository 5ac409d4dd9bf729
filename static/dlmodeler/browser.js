/* The path browser: a tree whose folders are fetched when they are opened, and the field that it fills. */
(() => {
  "use strict";

  const rows = (tree) => [...tree.querySelectorAll(".dlm-node-row")].filter((row) => row.offsetParent !== null);

  function toggle(row, open = row.getAttribute("aria-expanded") !== "true") {
    const group = row.parentElement.querySelector(":scope > .dlm-tree");
    if (!group) return;
    row.setAttribute("aria-expanded", String(open));
    group.hidden = !open;
    if (open && row.dataset.expand) {
      window.htmx.ajax("GET", row.dataset.expand, { target: group, swap: "innerHTML" });
      delete row.dataset.expand;
    }
  }

  const inputs = (browser) => [...browser.querySelectorAll("[data-browser-values] input")];

  /** In a tree of many choices the hidden inputs are the truth: rows come and go with searches and folders. */
  function show(browser) {
    const chosen = inputs(browser);
    const values = new Set(chosen.map((input) => input.value));
    for (const row of browser.querySelectorAll("[data-value]")) row.setAttribute("aria-selected", String(values.has(row.dataset.value)));
    const list = browser.closest("[data-browser-frame]").querySelector("[data-browser-chosen]");
    if (!list) return;
    list.replaceChildren(
      ...chosen.map((input) => {
        const line = document.createElement("li");
        const remove = document.createElement("button");
        remove.type = "button";
        remove.className = "btn-close";
        remove.dataset.browserRemove = input.value;
        remove.setAttribute("aria-label", `${window.dlm.words.remove}: ${input.dataset.path}`);
        line.append(Object.assign(document.createElement("span"), { textContent: input.dataset.path }), remove);
        return line;
      }),
    );
    list.hidden = chosen.length === 0;
  }

  function choose(browser, value, path) {
    const before = inputs(browser).find((input) => input.value === value);
    const place = browser.querySelector("[data-browser-values]");
    if (before) before.remove();
    else {
      const input = Object.assign(document.createElement("input"), { type: "hidden", name: place.dataset.name, value });
      input.dataset.path = path;
      place.append(input);
    }
    show(browser);
  }

  function select(row) {
    const browser = row.closest("[data-browser]");
    if (!("value" in row.dataset) || row.getAttribute("aria-disabled") === "true") return;
    if ("multiple" in browser.dataset) choose(browser, row.dataset.value, row.dataset.path);
    else {
      browser.querySelectorAll('[aria-selected="true"]').forEach((other) => other.setAttribute("aria-selected", "false"));
      row.setAttribute("aria-selected", "true");
      const values = browser.querySelector("[data-browser-values]");
      const name = values.dataset.name;
      if (name) values.replaceChildren(Object.assign(document.createElement("input"), { type: "hidden", name, value: row.dataset.value }));
      const button = browser.closest("[data-path-picker]")?.querySelector("[data-path-choose]");
      if (button) button.disabled = false;
    }
    browser.dispatchEvent(new CustomEvent("dlm:changed", { bubbles: true }));
  }

  document.addEventListener("htmx:afterSwap", (event) => {
    const browser = event.target.closest?.("[data-browser][data-multiple]");
    if (browser) show(browser);
  });
  document.querySelectorAll("[data-browser][data-multiple]").forEach(show);

  document.addEventListener("click", (event) => {
    const row = event.target.closest(".dlm-node-row");
    if (row) {
      if (!("value" in row.dataset) || event.target.closest(".dlm-node-twist")) toggle(row);
      else select(row);
      return;
    }
    const remove = event.target.closest("[data-browser-remove]");
    if (remove) {
      const browser = remove.closest("[data-browser-frame]").querySelector("[data-browser]");
      choose(browser, remove.dataset.browserRemove, "");
      browser.dispatchEvent(new CustomEvent("dlm:changed", { bubbles: true }));
      return;
    }
    const button = event.target.closest("[data-path-choose]");
    if (button) {
      const picker = button.closest("[data-path-picker]");
      const chosen = picker.querySelector('[aria-selected="true"]');
      const value = picker.querySelector("[data-path-value]");
      value.value = chosen.dataset.value;
      picker.querySelector("[data-path-display]").value = chosen.dataset.path;
      value.dispatchEvent(new Event("change", { bubbles: true }));
    }
  });

  document.addEventListener("dblclick", (event) => {
    const row = event.target.closest(".dlm-node-row");
    if (row && "value" in row.dataset && !event.target.closest(".dlm-node-twist")) toggle(row);
  });

  document.addEventListener("keydown", (event) => {
    const row = event.target.closest(".dlm-node-row");
    if (!row) return;
    const all = rows(row.closest("[data-browser]"));
    const at = all.indexOf(row);
    const keys = {
      ArrowDown: () => all[at + 1]?.focus(),
      ArrowUp: () => all[at - 1]?.focus(),
      ArrowRight: () => toggle(row, true),
      ArrowLeft: () => (row.getAttribute("aria-expanded") === "true" ? toggle(row, false) : row.parentElement.parentElement.previousElementSibling?.focus()),
      Enter: () => ("value" in row.dataset ? select(row) : toggle(row)),
      " ": () => ("value" in row.dataset ? select(row) : toggle(row)),
    };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
})();
