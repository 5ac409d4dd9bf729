/* The samples of an evaluation: with the switch on, what spoke for the answer is laid over them, enlarged too. */
(() => {
  "use strict";

  let isOn = false;

  function apply(root) {
    for (const section of root.querySelectorAll(".dlm-evaluation-samples")) {
      section.classList.toggle("dlm-heat-on", isOn);
      const box = section.querySelector("[data-heat-toggle]");
      if (box) box.checked = isOn;
      for (const item of section.querySelectorAll("[data-heat-src]")) {
        item.dataset.plainSrc ??= item.dataset.src ?? "";
        item.dataset.src = isOn ? item.dataset.heatSrc : item.dataset.plainSrc;
      }
    }
  }

  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-heat-toggle]")) return;
    isOn = event.target.checked;
    apply(document);
  });
  document.addEventListener("htmx:load", () => apply(document));
})();
