/* Uploading many files: form[data-upload] makes the data, then its files go to the API in batches. */
(() => {
  "use strict";

  const { words, fill, csrfToken } = window.dlm;
  const BATCH_FILES = 100;
  const BATCH_BYTES = 64 * 1024 * 1024;
  const PARALLEL = 3;
  const ATTEMPTS = 6;
  const LIST_MAX = 200;

  const sizeText = (bytes) => {
    const units = ["B", "KB", "MB", "GB", "TB"];
    let at = 0;
    while (bytes >= 1000 && at < units.length - 1) {
      bytes /= 1000;
      at += 1;
    }
    return `${at === 0 ? bytes : bytes.toFixed(bytes < 10 ? 1 : 0)} ${units[at]}`;
  };
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const element = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });

  /** An answer that says no; what it says is shown as it is. */
  class Refused extends Error {}

  /** POSTs with progress; resolves to the parsed answer; a lost connection and 502-504, 429 reject with a plain Error. */
  function post(url, body, onProgress, headers = {}) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("POST", url);
      request.setRequestHeader("X-CSRFToken", csrfToken());
      request.setRequestHeader("Accept", "application/json");
      for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
      request.upload.onprogress = (event) => onProgress?.(event.loaded);
      request.onerror = request.ontimeout = () => reject(new Error(words.offline));
      request.onload = () => {
        let answer = null;
        try {
          answer = JSON.parse(request.responseText);
        } catch {
          // Not JSON: a proxy's or a log-in page.
        }
        if (request.status < 300 && answer !== null) resolve(answer);
        else if ([429, 502, 503, 504].includes(request.status)) reject(new Error(words.offline));
        else reject(Object.assign(new Refused(answer?.error ?? words.requestFailed), { answer, status: request.status }));
      };
      request.send(body);
    });
  }

  async function withRetries(state, go) {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await go();
      } catch (error) {
        if (error instanceof Refused || attempt === ATTEMPTS) throw error;
        state.say(words.uploadRetrying);
        await sleep(Math.min(30000, 1000 * 2 ** (attempt - 1)) * (0.75 + Math.random() / 2));
        state.say(words.uploadSending);
      }
    }
  }

  function batches(entries) {
    const all = [];
    let batch = [];
    let bytes = 0;
    for (const entry of entries) {
      if (batch.length && (batch.length >= BATCH_FILES || bytes + entry.file.size > BATCH_BYTES)) {
        all.push(batch);
        batch = [];
        bytes = 0;
      }
      batch.push(entry);
      bytes += entry.file.size;
    }
    if (batch.length) all.push(batch);
    return all;
  }

  /* -- Picking ------------------------------------------------------------------------------- */
  /** All files of a dropped entry, folders walked, each with its relative path. */
  async function walk(entry, prefix = "") {
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      return [{ file, path: prefix + file.name }];
    }
    const reader = entry.createReader();
    const found = [];
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) break;
      for (const child of some) found.push(...(await walk(child, `${prefix}${entry.name}/`)));
    }
    return found;
  }

  async function dropped(transfer) {
    const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    if (!entries.length) return [...transfer.files].map((file) => ({ file, path: file.name }));
    return (await Promise.all(entries.map((entry) => walk(entry)))).flat();
  }

  /** Sole dropped or chosen folder: its own name says nothing, files are known by their path inside it. */
  function withoutCommonFolder(entries) {
    const first = entries[0]?.path.split("/")[0];
    const common = entries.length > 0 && entries.every((entry) => entry.path.includes("/") && entry.path.split("/")[0] === first);
    return common ? entries.map((entry) => ({ ...entry, path: entry.path.slice(first.length + 1) })) : entries;
  }

  function setUp(form) {
    const find = (selector) => form.querySelector(selector);
    const zone = find("[data-upload-zone]");
    const api = form.dataset.uploadApi ?? "/api/v1/data/";
    const picked = new Map(); // relative path -> {file, path, sent}
    let data = null; // {data_id, done_url} once the form was accepted
    let busy = false;
    let locked = []; // controls that a running upload disabled

    const state = {
      say: (text) => (find("[data-upload-words]").textContent = text),
      progress(bytes, total, count) {
        find("[data-upload-progress]").value = total ? bytes / total : 0;
        find("[data-upload-count]").textContent = `${count} / ${picked.size} · ${sizeText(bytes)} / ${sizeText(total)}`;
      },
    };

    function setBusy(on) {
      busy = on;
      form.dataset.uploadBusy = on ? "1" : "0";
      if (on) locked = [...form.elements].filter((control) => !control.disabled);
      for (const control of locked) control.disabled = on;
      if (on) find("[data-upload-state]").hidden = false;
    }

    function list(place, pairs) {
      place.replaceChildren(
        ...pairs.slice(0, LIST_MAX).map(([name, note]) => {
          const line = document.createElement("li");
          line.append(element("span", name), element("span", note));
          return line;
        }),
      );
      if (pairs.length > LIST_MAX) {
        const line = document.createElement("li");
        line.append(element("span", fill(words.uploadMore, { count: pairs.length - LIST_MAX })));
        place.append(line);
      }
    }

    function showPicked() {
      const entries = [...picked.values()];
      const size = sizeText(entries.reduce((sum, entry) => sum + entry.file.size, 0));
      find("[data-picked]").hidden = entries.length === 0;
      find("[data-picked-summary]").textContent = fill(entries.length === 1 ? words.uploadFile : words.uploadFiles, { count: entries.length, size });
      list(find("[data-picked-list]"), entries.map((entry) => [entry.path, sizeText(entry.file.size)]));
      find("[data-upload-error]").textContent = "";
      form.dataset.uploadReady = entries.length ? "1" : "0";
      form.dispatchEvent(new CustomEvent("dlm:changed", { bubbles: true }));
    }

    function pick(entries) {
      if (busy) return;
      for (const { file, path } of withoutCommonFolder(entries)) {
        if (!/(^|\/)(\.DS_Store|Thumbs\.db|desktop\.ini)$/.test(path)) picked.set(path, { file, path, sent: false });
      }
      showPicked();
    }

    form.addEventListener("change", (event) => {
      if (!("pick" in event.target.dataset)) return;
      pick([...event.target.files].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
      event.target.value = "";
    });
    find("[data-picked-clear]").addEventListener("click", () => {
      picked.clear();
      showPicked();
    });
    const drop = find("[data-drop]");
    for (const kind of ["dragenter", "dragover"]) {
      zone.addEventListener(kind, (event) => {
        event.preventDefault();
        drop.classList.add("is-over");
      });
    }
    zone.addEventListener("dragleave", (event) => {
      if (!zone.contains(event.relatedTarget)) drop.classList.remove("is-over");
    });
    zone.addEventListener("drop", async (event) => {
      event.preventDefault();
      drop.classList.remove("is-over");
      pick(await dropped(event.dataTransfer));
    });

    /* -- Errors on fields ---------------------------------------------------------------------- */
    function clearErrors() {
      form.querySelectorAll(".is-invalid").forEach((field) => field.classList.remove("is-invalid"));
      form.querySelectorAll("[data-upload-field-error]").forEach((place) => place.remove());
      find("[data-upload-error]").textContent = "";
    }

    function showErrors(errors) {
      let first = null;
      for (const [name, texts] of Object.entries(errors)) {
        const field = form.elements[name];
        if (!field || field.type === "file") {
          find("[data-upload-error]").textContent += `${texts.join(" ")} `;
          continue;
        }
        const place = element("div", texts.join(" "));
        place.className = "invalid-feedback d-block";
        place.dataset.uploadFieldError = "";
        const control = field.length && !field.tagName ? field[0] : field;
        control.classList.add("is-invalid");
        control.after(place);
        first ??= control;
      }
      first?.focus();
    }

    function fail(reason) {
      find("[data-upload-state]").hidden = true;
      find("[data-upload-error]").textContent = reason;
      zone.scrollIntoView({ block: "nearest" });
    }

    /* -- Sending --------------------------------------------------------------------------------- */
    async function sendAll() {
      const refused = [];
      const waiting = batches([...picked.values()].filter((entry) => !entry.sent));
      const total = [...picked.values()].reduce((sum, entry) => sum + entry.file.size, 0);
      const done = () => [...picked.values()].filter((entry) => entry.sent);
      const moving = new Map(); // batch -> bytes on their way
      const show = () => {
        const bytes = done().reduce((sum, entry) => sum + entry.file.size, 0) + [...moving.values()].reduce((sum, more) => sum + more, 0);
        state.progress(Math.min(bytes, total), total, done().length);
      };
      let stopped = false;

      async function lane() {
        for (let batch = waiting.shift(); batch && !stopped; batch = waiting.shift()) {
          const bytes = batch.reduce((sum, entry) => sum + entry.file.size, 0);
          const current = batch;
          const answer = await withRetries(state, () => {
            const body = new FormData();
            for (const { file, path } of current) {
              body.append("files", file, file.name);
              body.append("paths", path);
            }
            if (form.elements.labels_from_folders?.checked) body.append("labels_from_folders", "true");
            return post(`${api}${data.data_id}/files/`, body, (loaded) => {
              moving.set(current, Math.min(loaded, bytes));
              show();
            });
          });
          moving.delete(current);
          for (const entry of current) entry.sent = true;
          refused.push(...answer.filter((file) => file.state === "rejected"));
          show();
        }
      }

      show();
      try {
        await Promise.all(Array.from({ length: PARALLEL }, lane));
      } finally {
        stopped = true;
        for (const file of refused) form.refusedFiles.set(file.name, file.error);
      }
    }

    async function run() {
      clearErrors();
      const body = new FormData(form);
      setBusy(true);
      state.say(words.uploadPreparing);
      try {
        data ??= await post(form.action, body, null, { "X-Requested-With": "XMLHttpRequest" });
        state.say(words.uploadSending);
        await sendAll();
        if (form.refusedFiles.size === picked.size) {
          setBusy(false);
          form.refusedFiles.forEach((_, path) => picked.delete(path));
          showRefused(false);
          fail(words.uploadNoneAccepted);
          return;
        }
        state.say(words.uploadChecking);
        await withRetries(state, () => post(`${api}${data.data_id}/commit/`, null));
        busy = false;
        const next = form.dataset.doneUrl || data.done_url;
        if (form.refusedFiles.size) showRefused(true, next);
        else window.location.assign(next);
      } catch (error) {
        setBusy(false);
        if (error instanceof Refused && error.answer?.errors) {
          find("[data-upload-state]").hidden = true;
          showErrors(error.answer.errors);
        } else fail(data ? fill(words.uploadFailed, { reason: error.message }) : error.message);
      }
      form.dispatchEvent(new CustomEvent("dlm:changed", { bubbles: true }));
    }

    function showRefused(goOn, next) {
      find("[data-refused]").hidden = false;
      list(find("[data-refused-list]"), [...form.refusedFiles]);
      const link = find("[data-upload-done]");
      link.hidden = !goOn;
      if (goOn) {
        link.href = next;
        find("[data-upload-state]").hidden = true;
        find("[data-picked]").hidden = true;
        link.focus();
      }
    }

    form.refusedFiles = new Map();
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (busy) return;
      if (!picked.size) {
        find("[data-upload-error]").textContent = words.fieldRequired;
        return;
      }
      form.refusedFiles.clear();
      run();
    });
    window.addEventListener("beforeunload", (event) => {
      if (busy) event.preventDefault();
    });
    form.dataset.uploadReady = "0";
    form.dispatchEvent(new CustomEvent("dlm:changed", { bubbles: true }));
  }

  document.querySelectorAll("form[data-upload]").forEach(setUp);
})();
