/* The ordered list of preprocessing steps: add from the menu, move by buttons or by dragging, remove, renumber. */
(() => {
  "use strict";

  const list = () => document.querySelector("[data-steps]");
  const steps = () => [...list().querySelectorAll("[data-step]")];

  // The fields of a step are called after its place: step-0-op, step-0-width.
  function renumber() {
    const all = steps();
    all.forEach((step, place) => {
      step.querySelector("[data-step-number]").textContent = place + 1;
      step.querySelector('[data-step-move="-1"]').disabled = place === 0;
      step.querySelector('[data-step-move="1"]').disabled = place === all.length - 1;
      for (const element of step.querySelectorAll("[name], [id], [for], [aria-describedby]")) {
        for (const name of ["name", "id", "for", "aria-describedby"]) {
          const value = element.getAttribute(name);
          if (value) element.setAttribute(name, value.replace(/step-(\d+|__place__)-/, `step-${place}-`));
        }
      }
    });
  }

  /** Has the preview and the submit button look at the form again. */
  function changed() {
    renumber();
    list().dispatchEvent(new Event("input", { bubbles: true }));
  }

  function tellPlace(step) {
    const all = steps();
    const words = { place: all.indexOf(step) + 1, count: all.length };
    document.querySelector("[data-steps-told]").textContent = window.dlm.fill(list().dataset.stepsMoved, words);
  }

  function add(operation) {
    const template = document.querySelector(`[data-step-template="${CSS.escape(operation)}"]`);
    const step = template.content.cloneNode(true).querySelector("[data-step]");
    list().append(step);
    changed();
    step.scrollIntoView({ block: "nearest" });
    (step.querySelector(".dlm-chain-step-values :is(input, select, textarea)") ?? step.querySelector("[data-step-remove]")).focus();
  }

  function move(button) {
    const step = button.closest("[data-step]");
    if (button.dataset.stepMove === "-1") step.previousElementSibling?.before(step);
    else step.nextElementSibling?.after(step);
    changed();
    tellPlace(step);
    // At either end its button is disabled and would lose the focus.
    (button.disabled ? step.querySelector("[data-step-move]:not(:disabled)") : button)?.focus();
  }

  function remove(button) {
    const step = button.closest("[data-step]");
    const next = step.nextElementSibling ?? step.previousElementSibling;
    step.remove();
    changed();
    (next?.querySelector("[data-step-remove]") ?? document.getElementById("add-step")).focus();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if ("stepAdd" in button.dataset) add(button.dataset.stepAdd);
    else if ("stepMove" in button.dataset) move(button);
    else if ("stepRemove" in button.dataset) remove(button);
  });

  /* -- Dragging ------------------------------------------------------------------------------ */
  let dragged = null;

  document.addEventListener("dragstart", (event) => {
    const grip = event.target.closest?.("[data-step-grip]");
    if (!grip) return;
    dragged = grip.closest("[data-step]");
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData("text/plain", "");
    event.dataTransfer.setDragImage(dragged, 12, 12);
    dragged.classList.add("dlm-chain-step-dragged");
  });

  document.addEventListener("dragover", (event) => {
    const over = event.target.closest?.("[data-step]");
    if (!dragged || !over) return;
    event.preventDefault();
    if (over === dragged) return;
    const box = over.getBoundingClientRect();
    if (event.clientY < box.top + box.height / 2) over.before(dragged);
    else over.after(dragged);
  });

  document.addEventListener("drop", (event) => {
    if (dragged) event.preventDefault();
  });

  document.addEventListener("dragend", () => {
    if (!dragged) return;
    dragged.classList.remove("dlm-chain-step-dragged");
    changed();
    tellPlace(dragged);
    dragged = null;
  });

  // Steps of a recipe take the place of those that were there.
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.elt.matches?.("[data-steps]")) changed();
  });

  renumber();
})();
