/* One file of a list, large: <c-lightbox /> shows the [data-lightbox] of the [data-lightbox-group] that is clicked. */
(() => {
  "use strict";

  const dialog = document.querySelector("[data-lightbox-dialog]");
  const part = (name) => dialog.querySelector(`[data-lightbox-${name}]`);
  const image = part("image");
  const SWIPE_PX = 48;
  const ahead = new Map(); // address of a page -> its document, on its way or here
  let shown = null;
  let isTurning = false;

  const groupOf = (item) => item.closest("[data-lightbox-group]");
  const itemsOf = (group) => [...group.querySelectorAll("[data-lightbox]")];

  function fetchPage(address) {
    if (!ahead.has(address)) {
      const page = fetch(address, { headers: { Accept: "text/html" } }).then(async (answer) => {
        if (!answer.ok) throw new Error(`${answer.status} ${address}`);
        return new DOMParser().parseFromString(await answer.text(), "text/html");
      });
      page.catch(() => ahead.delete(address));
      ahead.set(address, page);
    }
    return ahead.get(address);
  }

  const pageBeside = (group, step) => (step > 0 ? group.dataset.next : group.dataset.previous);

  /** The item beside `item`, on this page. */
  function beside(item, step) {
    const items = itemsOf(groupOf(item));
    return items[items.indexOf(item) + step] ?? null;
  }

  function preload(source) {
    if (source) new Image().src = source;
  }

  function loadAhead(item) {
    for (const step of [1, -1]) {
      const neighbour = beside(item, step);
      const address = pageBeside(groupOf(item), step);
      if (neighbour) preload(neighbour.dataset.src);
      else if (address) {
        const { id } = groupOf(item);
        const first = (page) => itemsOf(page.getElementById(id)).at(step > 0 ? 0 : -1);
        fetchPage(new URL(address, window.location.href).href).then((page) => preload(first(page)?.dataset.src), () => {});
      }
    }
  }

  function show(item) {
    shown = item;
    const { src, name, label, facts, error } = item.dataset;
    const says = (place, text) => (part(place).textContent = text ?? "");
    const items = itemsOf(groupOf(item));
    const { first = 1, total = items.length } = groupOf(item).dataset;
    says("place", `${Number(first) + items.indexOf(item)} / ${total}`);
    says("name", name);
    says("label", item.closest("[data-file]")?.querySelector("[data-label-shown]")?.textContent.replace(/^–$/, "") || label);
    says("facts", facts);
    says("error", error);
    part("none").hidden = Boolean(src);
    image.hidden = !src;
    if (src && image.getAttribute("src") !== src) image.src = src;
    image.alt = name;
    part("small").hidden = !("isSmall" in item.dataset);
    part("file").hidden = !item.href;
    part("file").href = item.href ?? "";
    const box = choiceOf(item);
    const choose = part("choose");
    if (choose) {
      choose.closest("label").hidden = !box;
      choose.checked = Boolean(box?.checked);
    }
    for (const button of dialog.querySelectorAll("[data-lightbox-step]")) {
      const step = Number(button.dataset.lightboxStep);
      button.disabled = !beside(item, step) && !pageBeside(groupOf(item), step);
    }
    loadAhead(item);
  }

  const choiceOf = (item) => item.closest("[data-file]")?.querySelector("[data-choose]");

  /** Puts the page before or after this one in its place, and shows its last or first file. */
  async function turn(group, step) {
    const address = new URL(pageBeside(group, step), window.location.href).href;
    isTurning = true;
    try {
      const page = await fetchPage(address);
      ahead.delete(address);
      const fresh = document.importNode(page.getElementById(group.id), true);
      group.replaceWith(fresh);
      window.htmx.process(fresh);
      window.history.replaceState(null, "", address);
      fresh.dispatchEvent(new CustomEvent("dlm:turned", { bubbles: true }));
      show(itemsOf(fresh).at(step > 0 ? 0 : -1));
    } catch {
      window.dlm.toast(window.dlm.words.offline, "error");
    } finally {
      isTurning = false;
    }
  }

  function go(step) {
    if (isTurning || !shown) return;
    const next = beside(shown, step);
    if (next) show(next);
    else if (pageBeside(groupOf(shown), step)) turn(groupOf(shown), step);
  }

  image.addEventListener("error", async () => {
    image.hidden = true;
    part("none").hidden = false;
    const item = shown;
    const source = image.getAttribute("src");
    if (!item || source !== item.dataset.heatSrc) return;
    const answer = await fetch(source, { headers: { Accept: "application/json" } }).catch(() => null);
    const why = answer && !answer.ok ? await answer.json().catch(() => null) : null;
    if (why?.error && shown === item) part("error").textContent = why.error;
  });

  document.addEventListener("click", (event) => {
    const item = event.target.closest("[data-lightbox]");
    if (!item || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show(item);
    dialog.showModal();
  });

  dialog.addEventListener("click", (event) => {
    const button = event.target.closest("[data-lightbox-step]");
    if (button) go(Number(button.dataset.lightboxStep));
    else if (event.target.closest("[data-lightbox-close]") || event.target === dialog) dialog.close();
  });

  // The last file shown has the focus afterwards, on whatever page it lies.
  dialog.addEventListener("close", () => {
    shown?.focus();
    shown?.scrollIntoView({ block: "nearest" });
    shown = null;
  });

  dialog.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowRight") go(1);
    else if (event.key === "ArrowLeft") go(-1);
    else if (event.key === "x" && part("choose") && choiceOf(shown)) part("choose").click();
    else return;
    event.preventDefault();
  });

  part("choose")?.addEventListener("change", () => {
    const box = choiceOf(shown);
    if (box.checked !== part("choose").checked) box.click();
  });

  let start = null;
  part("stage").addEventListener("touchstart", ({ touches }) => {
    start = touches.length === 1 ? { x: touches[0].clientX, y: touches[0].clientY } : null;
  }, { passive: true });
  part("stage").addEventListener("touchend", ({ changedTouches }) => {
    if (!start) return;
    const x = changedTouches[0].clientX - start.x;
    const y = changedTouches[0].clientY - start.y;
    start = null;
    if (Math.abs(x) > SWIPE_PX && Math.abs(x) > 2 * Math.abs(y)) go(x < 0 ? 1 : -1);
  });
})();
