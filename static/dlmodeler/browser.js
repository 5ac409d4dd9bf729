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

  function select(row) {
    const browser = row.closest("[data-browser]");
    if (!("value" in row.dataset) || row.getAttribute("aria-disabled") === "true") return;
    const multiple = "multiple" in browser.dataset;
    const on = !(multiple && row.getAttribute("aria-selected") === "true");
    if (!multiple) browser.querySelectorAll('[aria-selected="true"]').forEach((other) => other.setAttribute("aria-selected", "false"));
    row.setAttribute("aria-selected", String(on));
    const values = browser.querySelector("[data-browser-values]");
    const name = values.dataset.name;
    if (name) {
      const inputs = [...browser.querySelectorAll('[aria-selected="true"]')].map((chosen) =>
        Object.assign(document.createElement("input"), { type: "hidden", name, value: chosen.dataset.value }),
      );
      values.replaceChildren(...inputs);
    }
    const choose = browser.closest("[data-path-picker]")?.querySelector("[data-path-choose]");
    if (choose) choose.disabled = false;
    browser.dispatchEvent(new CustomEvent("dlm:changed", { bubbles: true }));
  }

  document.addEventListener("click", (event) => {
    const row = event.target.closest(".dlm-node-row");
    if (row) {
      if (!("value" in row.dataset) || event.target.closest(".dlm-node-twist")) toggle(row);
      else select(row);
      return;
    }
    const choose = event.target.closest("[data-path-choose]");
    if (choose) {
      const picker = choose.closest("[data-path-picker]");
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
