/* A Django formset whose forms stand side by side: add one with the values of the last, remove one, renumber. */
(() => {
  "use strict";

  const isControl = "input, select, textarea";

  function renumber(box) {
    const prefix = box.dataset.columns;
    const pattern = new RegExp(`${prefix}-(\\d+|__prefix__)-`);
    const columns = [...box.querySelectorAll("[data-column]")];
    columns.forEach((column, index) => {
      column.querySelector("[data-column-number]").textContent = index + 1;
      for (const element of column.querySelectorAll("[name], [id], [for], [aria-describedby]")) {
        for (const name of ["name", "id", "for", "aria-describedby"]) {
          const value = element.getAttribute(name);
          if (value) element.setAttribute(name, value.replace(pattern, `${prefix}-${index}-`));
        }
      }
      column.querySelector("[data-column-remove]").hidden = columns.length === 1;
    });
    const total = box.closest("form").querySelector(`[name="${prefix}-TOTAL_FORMS"]`);
    if (total) total.value = columns.length;
    box.querySelector("[data-columns-add]").disabled = columns.length >= Number(box.dataset.columnsMax);
    box.dispatchEvent(new CustomEvent("dlm:changed", { bubbles: true }));
  }

  const fieldOf = (control, prefix) => control.name.replace(new RegExp(`^${prefix}-(\\d+|__prefix__)-`), "");

  /** "run" -> "run-2", "run-2" -> "run-3": the first number that no column has yet. */
  function nextName(name, taken) {
    const stem = name.replace(/-\d+$/, "");
    let number = 2;
    while (taken.has(`${stem}-${number}`)) number += 1;
    return `${stem}-${number}`;
  }

  function add(box) {
    const prefix = box.dataset.columns;
    const last = [...box.querySelectorAll("[data-column]")].at(-1);
    const column = box.querySelector("[data-columns-template]").content.cloneNode(true).querySelector("[data-column]");
    if (last) {
      const values = new Map([...last.querySelectorAll(isControl)].map((control) => [fieldOf(control, prefix), control]));
      for (const control of column.querySelectorAll(isControl)) {
        const from = values.get(fieldOf(control, prefix));
        if (!from || control.type === "hidden") continue;
        if (control.type === "checkbox" || control.type === "radio") control.checked = from.checked;
        else control.value = from.value;
      }
      const name = [...column.querySelectorAll(isControl)].find((control) => fieldOf(control, prefix) === "name");
      if (name?.value) {
        const names = [...box.querySelectorAll(isControl)].filter((control) => fieldOf(control, prefix) === "name");
        name.value = nextName(name.value, new Set(names.map((control) => control.value)));
      }
    }
    box.querySelector("[data-columns-list]").append(column);
    renumber(box);
    window.htmx.process(column);
    column.scrollIntoView({ block: "nearest", inline: "end" });
    column.querySelector("input:not([type=hidden])")?.focus({ preventScroll: true });
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if ("columnsAdd" in button.dataset) add(button.closest("[data-columns]"));
    if ("columnRemove" in button.dataset) {
      const box = button.closest("[data-columns]");
      button.closest("[data-column]").remove();
      renumber(box);
      box.querySelector("[data-columns-add]").focus();
    }
  });

  document.querySelectorAll("[data-columns]").forEach(renumber);
})();
