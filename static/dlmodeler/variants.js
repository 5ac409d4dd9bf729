/* Columns of hyperparameters whose defaults, and which of which apply, depend on one choice (data-variant). */
(() => {
  "use strict";

  const shown = (column) => column.querySelector("[data-defaults-of]");

  /** Fields that still have the default of the variant before get that of the chosen one. */
  function setDefaults(column, before, now) {
    for (const control of column.querySelectorAll("[data-defaults]")) {
      const defaults = JSON.parse(control.dataset.defaults);
      if (control.value === defaults[before]) control.value = defaults[now];
    }
  }

  function showWhatApplies(column, variant) {
    for (const control of column.querySelectorAll("[data-applies-to]")) {
      const applies = control.dataset.appliesTo.split(" ").includes(variant);
      control.closest("[data-field]").hidden = !applies;
      control.disabled = !applies;
    }
    for (const group of column.querySelectorAll("details")) {
      group.hidden = ![...group.querySelectorAll("[data-field]")].some((field) => !field.hidden);
    }
  }

  function update(column) {
    const choice = column.querySelector("[data-variant]");
    const defaultsOf = shown(column);
    if (!choice || !defaultsOf) return;
    if (defaultsOf.value !== choice.value) setDefaults(column, defaultsOf.value, choice.value);
    defaultsOf.value = choice.value;
    showWhatApplies(column, choice.value);
  }

  document.addEventListener("change", (event) => {
    if ("variant" in event.target.dataset) update(event.target.closest("[data-column]"));
  });
  // A column that was added has the values of the one before, its hidden field aside.
  document.addEventListener("dlm:changed", (event) => {
    const columns = [...event.target.querySelectorAll("[data-column]")];
    columns.forEach((column, index) => {
      const own = shown(column);
      if (own && !("told" in own.dataset) && index > 0) own.value = shown(columns[index - 1])?.value ?? own.value;
      if (own) own.dataset.told = "";
      update(column);
    });
  });
  document.querySelectorAll("[data-column]").forEach((column) => {
    if (shown(column)) shown(column).dataset.told = "";
    update(column);
  });
})();
