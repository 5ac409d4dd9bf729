/* An image to try a deployment with: dropped or chosen, shown, and sent by the form's own htmx. */
(() => {
  "use strict";

  const form = document.querySelector("[data-try]");
  const zone = form.querySelector("[data-try-drop]");
  const input = form.elements.input;
  const shown = form.querySelector("[data-try-shown]");
  const name = form.querySelector("[data-try-name]");

  function show(file) {
    if (shown.src) URL.revokeObjectURL(shown.src);
    shown.hidden = !file;
    if (!file) return;
    shown.src = URL.createObjectURL(file);
    name.textContent = shown.alt = file.name;
    zone.querySelector(":scope > .icon")?.remove();
  }

  // A format that browsers do not know may be one that the model's decoder does.
  shown.addEventListener("error", () => (shown.hidden = true));

  form.addEventListener("change", () => show(input.files[0]));
  form.addEventListener("htmx:confirm", (event) => {
    if (!input.files.length) event.preventDefault(); // the switch alone
  });

  for (const kind of ["dragenter", "dragover"]) {
    zone.addEventListener(kind, (event) => {
      event.preventDefault();
      zone.classList.add("is-over");
    });
  }
  for (const kind of ["dragleave", "drop"]) zone.addEventListener(kind, () => zone.classList.remove("is-over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    const file = [...event.dataTransfer.files][0];
    if (!file) return;
    const one = new DataTransfer();
    one.items.add(file);
    input.files = one.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  });
})();
