/* Behaviour that every page has. Components ask for it by data attributes (docs/pages.md). */
(() => {
  "use strict";

  const words = document.getElementById("dlm-words").dataset;
  const meta = (name) => document.querySelector(`meta[name="${name}"]`)?.content ?? "";
  const { Modal, Tooltip } = window.tabler;

  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

  const TOAST_ICONS = { error: "alert-circle", warning: "alert-triangle", success: "circle-check", info: "info-circle" };

  function icon(name) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "icon");
    svg.setAttribute("aria-hidden", "true");
    const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    use.setAttribute("href", `${words.icons}#${name}`);
    svg.append(use);
    return svg;
  }

  /** Adds a toast; `kind` is a level of Django's messages: success, info, warning, error. */
  function toast(text, kind = "info") {
    const box = document.createElement("div");
    box.className = "toast show dlm-toast";
    box.dataset.kind = kind;
    box.setAttribute("role", kind === "error" ? "alert" : "status");
    if (kind === "success" || kind === "info") box.dataset.toastAutohide = "";
    const said = document.createElement("div");
    said.className = "dlm-toast-text";
    said.textContent = text;
    const close = document.createElement("button");
    close.type = "button";
    close.className = "btn-close";
    close.dataset.toastClose = "";
    close.setAttribute("aria-label", words.close);
    box.append(icon(TOAST_ICONS[kind]), said, close);
    document.getElementById("dlm-toasts").append(box);
    startToast(box);
  }

  function startToast(box) {
    if ("toastAutohide" in box.dataset) setTimeout(() => box.remove(), 6000);
  }

  window.dlm = { words, fill, toast, csrfToken: () => meta("csrf-token") };

  /* -- Copying ----------------------------------------------------------------------------- */
  // The clipboard API exists on https and localhost only; a site in a local network is often plain http.
  async function copyText(text) {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "visually-hidden";
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    if (!copied) throw new Error("copy refused");
  }

  async function onCopy(button) {
    const [holder, target] = button.dataset.copyFrom.split(" ");
    const source = target ? button.closest(holder).querySelector(target) : document.querySelector(holder);
    try {
      await copyText((source.value ?? source.textContent).trim());
    } catch {
      toast(words.copyFailed, "error");
      return;
    }
    toast(words.copied, "success");
  }

  function onReveal(button) {
    const input = button.parentElement.querySelector("input");
    const hidden = !input.classList.toggle("dlm-secret");
    button.setAttribute("aria-pressed", String(hidden));
    button.setAttribute("aria-label", hidden ? words.hide : words.show);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if ("copyFrom" in button.dataset) onCopy(button);
    else if ("reveal" in button.dataset) onReveal(button);
    else if ("toastClose" in button.dataset) button.closest(".toast").remove();
  });

  /* -- Confirming -------------------------------------------------------------------------- */
  let confirmed = null;

  function confirmThen(text, go, { names = [], danger = false } = {}) {
    const dialog = document.getElementById("dlm-confirm");
    const yes = dialog.querySelector("[data-confirm-yes]");
    yes.classList.toggle("btn-danger", danger);
    yes.classList.toggle("btn-primary", !danger);
    dialog.querySelector("[data-confirm-text]").textContent = text;
    dialog.querySelector("[data-confirm-names]").replaceChildren(
      ...names.map((name) => Object.assign(document.createElement("li"), { textContent: name })),
    );
    confirmed = go;
    Modal.getOrCreateInstance(dialog).show();
  }

  document.querySelector("[data-confirm-yes]").addEventListener("click", () => {
    Modal.getInstance(document.getElementById("dlm-confirm")).hide();
    confirmed?.();
    confirmed = null;
  });

  document.addEventListener("submit", (event) => {
    const form = event.target;
    const asker = event.submitter?.dataset.confirm ? event.submitter : form;
    if (!asker.dataset.confirm) return;
    if (form.dataset.confirmedNow) {
      delete form.dataset.confirmedNow;
      return;
    }
    event.preventDefault();
    event.stopImmediatePropagation();
    const submitter = event.submitter;
    const listed = asker.dataset.confirmList;
    const ticked = listed ? document.querySelectorAll(`input[name="${CSS.escape(listed)}"]:checked`) : [];
    const go = () => {
      form.dataset.confirmedNow = "1";
      form.requestSubmit(submitter);
    };
    confirmThen(asker.dataset.confirm, go, {
      names: [...ticked].map((box) => box.dataset.label),
      danger: Boolean(submitter?.matches(".btn-danger, .btn-outline-danger, .text-danger")),
    });
  }, true);

  document.addEventListener("htmx:confirm", (event) => {
    if (!event.detail.question) return;
    event.preventDefault();
    confirmThen(event.detail.question, () => event.detail.issueRequest(true));
  });

  // One delete dialog serves many rows: the button that opens it says what is to be deleted.
  document.addEventListener("show.bs.modal", (event) => {
    const dialog = event.target;
    const opener = event.relatedTarget;
    if (!("confirmDelete" in dialog.dataset) || !opener) return;
    const { action, name, detail } = opener.dataset;
    if (action) dialog.querySelector("form").action = action;
    if (name) dialog.querySelector("[data-delete-name]").textContent = name;
    if (detail) window.htmx.ajax("GET", detail, { target: dialog.querySelector("[data-delete-detail]"), swap: "innerHTML" });
  });

  /* -- Sending once ------------------------------------------------------------------------ */
  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (event.defaultPrevented || !button || event.target.method !== "post") return;
    // After this event, or the button's own name and value would be left out.
    setTimeout(() => {
      button.disabled = true;
      button.dataset.sent = "";
    });
  });

  /* -- Submit buttons ---------------------------------------------------------------------- */
  // A form with data-require-filled keeps its submit button disabled until every required field has something in it.
  function isFilled(form) {
    const names = new Set();
    for (const field of form.elements) {
      if (!field.required || field.disabled) continue;
      if (field.type === "radio") names.add(field.name);
      else if (field.type === "checkbox" ? !field.checked : !field.value.trim()) return false;
    }
    if ([...form.querySelectorAll("[data-browser-values][data-required]")].some((place) => !place.children.length)) return false;
    return [...names].every((name) => form.querySelector(`[name="${CSS.escape(name)}"]:checked`));
  }

  function updateSubmit(form) {
    const filled = isFilled(form) && (!form.matches("[data-upload]") || form.dataset.uploadReady === "1");
    for (const button of form.querySelectorAll("[type=submit]")) {
      if (form.dataset.uploadBusy === "1") continue;
      button.disabled = !filled;
      button.title = filled ? "" : words.required;
    }
  }

  for (const kind of ["input", "change", "dlm:changed"]) {
    document.addEventListener(kind, (event) => {
      const form = event.target.closest?.("form[data-require-filled]");
      if (form) updateSubmit(form);
    });
  }

  // Links in [data-carry="name …"] take along what was typed into these fields.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-carry] a");
    if (!link) return;
    const address = new URL(link.href);
    for (const name of link.closest("[data-carry]").dataset.carry.split(" ")) {
      const typed = document.querySelector(`form [name="${CSS.escape(name)}"]`)?.value;
      if (typed) address.searchParams.set(name, typed);
    }
    link.href = address;
  });

  /* -- Selecting rows ---------------------------------------------------------------------- */
  // <input type=checkbox data-select-all="row"> ticks all named "row"; [data-needs-selection="row"] is enabled by one ticked,
  // or by data-least to data-most.
  function updateSelection(name) {
    const boxes = [...document.querySelectorAll(`input[type=checkbox][name="${CSS.escape(name)}"]`)];
    const count = boxes.filter((box) => box.checked).length;
    for (const button of document.querySelectorAll(`[data-needs-selection="${CSS.escape(name)}"]`)) {
      button.disabled = count < Number(button.dataset.least ?? 1) || count > Number(button.dataset.most ?? Infinity);
    }
    for (const place of document.querySelectorAll(`[data-selection-count="${CSS.escape(name)}"]`)) place.textContent = count;
    for (const all of document.querySelectorAll(`[data-select-all="${CSS.escape(name)}"]`)) {
      all.checked = count > 0 && count === boxes.length;
      all.indeterminate = count > 0 && count < boxes.length;
    }
  }

  document.addEventListener("change", (event) => {
    const box = event.target;
    if (box.type !== "checkbox") return;
    const all = box.dataset.selectAll;
    if (all) {
      for (const one of document.querySelectorAll(`input[type=checkbox][name="${CSS.escape(all)}"]`)) one.checked = box.checked;
    }
    updateSelection(all ?? box.name);
  });

  /* -- Times ------------------------------------------------------------------------------- */
  const relative = new Intl.RelativeTimeFormat(document.documentElement.lang || "en", { numeric: "auto" });
  const absolute = new Intl.DateTimeFormat(document.documentElement.lang || "en", { dateStyle: "medium", timeStyle: "short" });
  const exact = new Intl.DateTimeFormat(document.documentElement.lang || "en", { dateStyle: "medium", timeStyle: "long" });

  function showTime(element) {
    const then = new Date(element.dateTime);
    const seconds = (then - Date.now()) / 1000;
    const size = Math.abs(seconds);
    element.title = exact.format(then);
    if (size < 60) element.textContent = relative.format(Math.round(seconds), "second");
    else if (size < 3600) element.textContent = relative.format(Math.round(seconds / 60), "minute");
    else if (size < 86400) element.textContent = relative.format(Math.round(seconds / 3600), "hour");
    else if (size < 7 * 86400) element.textContent = relative.format(Math.round(seconds / 86400), "day");
    else element.textContent = absolute.format(then);
  }

  setInterval(() => document.querySelectorAll("time[data-relative]").forEach(showTime), 30000);

  /* -- htmx -------------------------------------------------------------------------------- */
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.verb !== "get") event.detail.headers["X-CSRFToken"] = meta("csrf-token");
  });

  // A fragment that comes back as a whole page means that the session ended: load the page, which leads to the log-in.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (/^\s*<!doctype html/i.test(event.detail.xhr.responseText)) {
      event.detail.shouldSwap = false;
      if (event.detail.xhr.status < 400) window.location.reload();
    }
  });

  // A poll that fails stays quiet: the next one may succeed.
  const isPoll = (element) => /every/.test(element?.getAttribute("hx-trigger") ?? "");
  document.addEventListener("htmx:responseError", (event) => {
    if (!isPoll(event.detail.elt)) toast(words.requestFailed, "error");
  });
  document.addEventListener("htmx:sendError", (event) => {
    if (!isPoll(event.detail.elt)) toast(words.offline, "error");
  });

  /* -- Set-up of what is new in the page ----------------------------------------------------- */
  function each(root, selector, go) {
    if (root.matches?.(selector)) go(root);
    root.querySelectorAll(selector).forEach(go);
  }

  function setUp(root) {
    each(root, "time[data-relative]", showTime);
    each(root, "form[data-require-filled]", updateSubmit);
    each(root, ".dlm-toast", startToast);
    // The button may be elsewhere than the boxes that are new.
    each(document, "[data-needs-selection]", (button) => updateSelection(button.dataset.needsSelection));
    each(root, "[data-bs-toggle=tooltip]", (element) => Tooltip.getOrCreateInstance(element));
  }

  setUp(document);
  document.addEventListener("htmx:load", (event) => {
    if (event.detail.elt !== document.body) setUp(event.detail.elt);
  });
  // A page from the back-forward cache keeps typed values, and browsers restore them after load.
  window.addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("[data-sent]")) {
      delete button.dataset.sent;
      button.disabled = false;
    }
    document.querySelectorAll("form[data-require-filled]").forEach(updateSubmit);
    document.querySelectorAll("[data-needs-selection]").forEach((button) => updateSelection(button.dataset.needsSelection));
  });
})();
