/* The upload of a form: form[data-upload] makes the data, or says which, then its files are sent (docs/pages.md). */
(() => {
  "use strict";

  const { fill } = window.dlm;
  const { words, dropped, chosen, tidied, loaded, request, discard, Sender, Lost, Refused, Cancelled } = window.dlm.upload;
  const LIST_MAX = 200;
  const LARGE_MAX = 20;
  const TICK_MS = 500;

  const language = document.documentElement.lang || "en";
  const number = new Intl.NumberFormat(language);
  const csvField = (text) => `"${text.replaceAll('"', '""')}"`;

  function sizeText(bytes) {
    const units = ["B", "KB", "MB", "GB", "TB"];
    let at = 0;
    while (bytes >= 1000 && at < units.length - 1) {
      bytes /= 1000;
      at += 1;
    }
    return `${new Intl.NumberFormat(language, { maximumFractionDigits: at && bytes < 10 ? 1 : 0 }).format(bytes)} ${units[at]}`;
  }

  function timeText(seconds) {
    if (!Number.isFinite(seconds)) return "";
    if (seconds < 90) return fill(words.secondsLeft, { count: Math.ceil(seconds) });
    const minutes = Math.round(seconds / 60);
    if (minutes < 90) return fill(words.minutesLeft, { count: minutes });
    return fill(words.hoursLeft, { hours: Math.floor(minutes / 60), minutes: minutes % 60 });
  }

  function line(name, note) {
    const made = document.createElement("li");
    for (const text of [name, note]) made.append(Object.assign(document.createElement("span"), { textContent: text }));
    return made;
  }

  function setUp(form) {
    const find = (selector) => form.querySelector(selector);
    const show = (selector, on = true) => (find(selector).hidden = !on);
    const say = (selector, text) => {
      if (find(selector).textContent !== text) find(selector).textContent = text;
    };
    const zone = find("[data-upload-zone]");
    const picked = new Map(); // path -> entry
    const refused = new Map(); // path -> reason, of all rounds
    let junk = 0;
    let data = form.dataset.uploadTo ? { data_id: form.dataset.uploadTo } : null; // {data_id, done_url, resumes} once the form was accepted
    let sender = null;
    let busy = false;
    let locked = []; // controls that a running upload disabled
    let csv = null;

    const api = () => `/api/v1/data/${data.data_id}/`;

    function setBusy(on) {
      form.dataset.uploadBusy = on ? "1" : "0";
      const isTheirs = (control) => control.closest("[data-upload-state], [data-upload-result], [data-upload-next]");
      if (on && !busy) locked = [...form.elements].filter((control) => !control.disabled && !isTheirs(control));
      busy = on;
      for (const control of locked) control.disabled = on;
      show("[data-upload-state]", on);
      show("[data-drop]", !on);
      show("[data-picked-list]", !on);
      show("[data-picked-clear]", !on);
      form.dispatchEvent(new CustomEvent("dlm:changed", { bubbles: true }));
      if (on) return;
      count();
      if (data) listUnfinished();
    }

    /* -- Picking ------------------------------------------------------------------------------- */
    let counted = 0; // which count is the latest

    function showPicked() {
      show("[data-picked]", picked.size > 0);
      say("[data-picked-junk]", junk ? fill(words.junk, { count: number.format(junk) }) : "");
      let hasArchives = false;
      let hasFolders = false;
      for (const entry of picked.values()) {
        hasArchives ||= entry.isArchive;
        hasFolders ||= entry.path.includes("/");
      }
      showList();
      showSum(0, !picked.size);
      count();
      show("[data-unzip]", hasArchives);
      show("[data-labels]", hasArchives || hasFolders);
      say("[data-upload-error]", "");
      form.dataset.uploadReady = picked.size ? "1" : "0";
      form.dispatchEvent(new CustomEvent("dlm:changed", { bubbles: true }));
    }

    function showList() {
      const lines = [...picked.values()].slice(0, LIST_MAX).map((entry) => line(entry.path, entry.isLoaded ? sizeText(entry.size) : ""));
      if (picked.size > LIST_MAX) lines.push(line(fill(words.more, { count: number.format(picked.size - LIST_MAX) }), ""));
      find("[data-picked-list]").replaceChildren(...lines);
    }

    function showSum(bytes, isAll) {
      const values = { count: number.format(picked.size), size: sizeText(bytes) + (isAll ? "" : "…") };
      say("[data-picked-summary]", fill(picked.size === 1 ? words.file : words.files, values));
    }

    /** Adds up the sizes, until the upload begins, which does the same. */
    async function count() {
      const mine = (counted += 1);
      let bytes = 0;
      let files = 0;
      for await (const some of loaded([...picked.values()])) {
        if (mine !== counted || busy) return;
        for (const entry of some) bytes += entry.size;
        files += some.length;
        if (files - some.length < LIST_MAX) showList();
        showSum(bytes, files === picked.size);
      }
    }

    function pick(entries) {
      const { kept, junk: more } = tidied(entries);
      junk += more;
      for (const entry of kept) picked.set(entry.path, entry);
      showPicked();
    }

    async function drop(transfer) {
      const found = [];
      const title = find("[data-drop-title]");
      const usual = title.textContent;
      const counting = setInterval(() => (title.textContent = fill(words.reading, { count: number.format(found.length) })), 300);
      const unreadable = await dropped(transfer, found);
      clearInterval(counting);
      title.textContent = usual;
      pick(found);
      if (unreadable.length) say("[data-upload-error]", fill(words.unreadableSome, { names: unreadable.slice(0, 10).join(", ") }));
    }

    form.addEventListener("change", (event) => {
      if (!("pick" in event.target.dataset)) return;
      pick(chosen(event.target.files));
      event.target.value = "";
    });
    find("[data-picked-clear]").addEventListener("click", () => {
      picked.clear();
      junk = 0;
      showPicked();
    });
    // Anywhere on the page: beside the zone the browser would leave the page and open the file.
    const over = (on) => find("[data-drop]").classList.toggle("is-over", on);
    const hasFiles = (event) => event.dataTransfer.types.includes("Files");
    window.addEventListener("dragenter", (event) => over(hasFiles(event)));
    window.addEventListener("dragleave", (event) => event.relatedTarget || over(false));
    window.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
    window.addEventListener("drop", (event) => {
      over(false);
      if (!hasFiles(event)) return;
      event.preventDefault();
      if (!busy) drop(event.dataTransfer);
    });

    /* -- Errors on fields ---------------------------------------------------------------------- */
    function clearErrors() {
      form.querySelectorAll(".is-invalid").forEach((field) => field.classList.remove("is-invalid"));
      form.querySelectorAll("[data-upload-field-error]").forEach((place) => place.remove());
      say("[data-upload-error]", "");
      for (const part of ["note", "result", "next", "done", "retry", "finish"]) show(`[data-upload-${part}]`, false);
    }

    function showErrors(errors) {
      let first = null;
      for (const [name, texts] of Object.entries(errors)) {
        const field = form.elements[name];
        if (!field || field.type === "file") {
          find("[data-upload-error]").textContent += `${texts.join(" ")} `;
          continue;
        }
        const place = Object.assign(document.createElement("div"), { textContent: texts.join(" "), className: "invalid-feedback d-block" });
        place.dataset.uploadFieldError = "";
        const control = field.length && !field.tagName ? field[0] : field;
        control.classList.add("is-invalid");
        control.after(place);
        first ??= control;
      }
      first?.focus();
    }

    function note(text) {
      find("[data-upload-note]").textContent = text;
      show("[data-upload-note]");
    }

    function fail(reason) {
      say("[data-upload-error]", reason);
      zone.scrollIntoView({ block: "nearest" });
    }

    /* -- Progress -------------------------------------------------------------------------------- */
    let speed = 0;
    let seen = null; // {at, bytes} of the last tick

    function tick() {
      const { phase, bytes, totalBytes } = sender;
      say("[data-upload-words]", fill(words[phase], { reason: sender.held }));
      show("[data-upload-pause]", !sender.isPaused);
      show("[data-upload-resume]", sender.isPaused);
      show("[data-upload-again]", phase === "lost");
      const byBytes = sender.isSorted && totalBytes > 0;
      find("[data-upload-progress]").value = byBytes ? bytes / totalBytes : sender.doneFiles / sender.entries.length;
      say("[data-upload-count]", fill(words.count, { done: number.format(sender.doneFiles), all: number.format(sender.entries.length) }));
      say("[data-upload-bytes]", sender.isSorted ? fill(words.bytes, { done: sizeText(bytes), all: sizeText(totalBytes) }) : sizeText(bytes));
      if (sender.isSorted && sender.entries.length === picked.size) showSum(totalBytes, true);
      const now = performance.now();
      if (phase !== "sending") {
        seen = null;
      } else {
        if (seen && bytes >= seen.bytes) {
          const current = ((bytes - seen.bytes) * 1000) / Math.max(1, now - seen.at);
          speed = speed ? speed * 0.85 + current * 0.15 : current; // about the last three seconds
        }
        seen = { at: now, bytes };
      }
      const isMoving = phase === "sending" && speed > 1;
      say("[data-upload-speed]", isMoving ? fill(words.speed, { size: sizeText(speed) }) : "");
      say("[data-upload-left]", isMoving && sender.isSorted ? timeText((totalBytes - bytes) / speed) : "");
      showLarge();
    }

    /** The large files: those on their way first, the finished last. */
    function showLarge() {
      const rank = (entry) => (entry.state !== "waiting" ? 2 : sender.moving.has(entry) ? 0 : 1);
      const shown = [...sender.large].sort((one, other) => rank(one) - rank(other)).slice(0, LARGE_MAX);
      const lines = shown.map((entry) => {
        const made = line(entry.path, "");
        const bar = Object.assign(document.createElement("progress"), { className: "progress progress-sm", max: 1 });
        const part = entry.state === "waiting" ? (sender.moving.get(entry) ?? 0) / entry.size : 1;
        bar.value = part;
        bar.setAttribute("aria-label", entry.path);
        if (entry.state !== "waiting") made.lastChild.textContent = entry.reason || words.sent;
        else made.lastChild.textContent = sender.moving.has(entry) ? `${Math.min(99, Math.floor(part * 100))} %` : words.waits;
        made.append(bar);
        return made;
      });
      if (sender.large.length > LARGE_MAX) lines.push(line(fill(words.more, { count: number.format(sender.large.length - LARGE_MAX) }), ""));
      find("[data-upload-large]").replaceChildren(...lines);
    }

    /* -- Results --------------------------------------------------------------------------------- */
    /** Names every file of `pairs` with its reason, a few hundred at a time. */
    function showResult(title, pairs) {
      show("[data-upload-result]");
      say("[data-result-title]", fill(title, { count: number.format(pairs.length) }));
      const list = find("[data-result-list]");
      const more = find("[data-result-more]");
      list.replaceChildren();
      const showMore = () => {
        list.append(...pairs.slice(list.children.length, list.children.length + LIST_MAX).map(([name, reason]) => line(name, reason)));
        const left = pairs.length - list.children.length;
        more.hidden = left === 0;
        more.textContent = fill(words.showMore, { count: number.format(Math.min(left, LIST_MAX)) });
      };
      more.onclick = showMore;
      showMore();
      find("#upload-result-text").textContent = pairs.map((pair) => pair.join("\t")).join("\n");
      const rows = [[words.csvFile, words.csvReason], ...pairs].map((row) => row.map(csvField).join(","));
      if (csv) URL.revokeObjectURL(csv);
      csv = URL.createObjectURL(new Blob([`\ufeff${rows.join("\r\n")}\r\n`], { type: "text/csv" })); // the mark tells Excel that it is UTF-8
      find("[data-result-csv]").href = csv;
    }

    function next({ retry = false, finish = false, done = "" }) {
      show("[data-upload-next]");
      show("[data-upload-retry]", retry);
      show("[data-upload-finish]", finish);
      show("[data-upload-done]", Boolean(done));
      say("[data-upload-done]", done);
      find("[data-upload-done]").href = data.done_url;
      find("[data-upload-done]").classList.toggle("btn-primary", done === words.goOn);
    }

    /* -- The whole ------------------------------------------------------------------------------- */
    async function send() {
      const entries = [...picked.values()].filter((entry) => entry.state === "waiting");
      const options = { unzip: find("[name=unzip]").checked, labels_from_folders: find("[name=labels_from_folders]").checked };
      sender = new Sender({ url: api(), entries, options, resumes: data.resumes });
      speed = 0;
      seen = null;
      tick();
      const ticking = setInterval(tick, TICK_MS);
      try {
        await sender.run();
      } finally {
        clearInterval(ticking);
        data.resumes = true;
        if (sender.thereFiles) note(fill(words.there, { count: number.format(sender.thereFiles) }));
        for (const entry of entries) if (entry.state === "refused") refused.set(entry.path, entry.reason);
      }
    }

    async function run() {
      clearErrors();
      const body = new FormData(form);
      setBusy(true);
      say("[data-upload-words]", words.preparing);
      try {
        if (!data?.done_url) {
          data = await request("POST", form.action, { body, headers: { "X-Requested-With": "XMLHttpRequest" } });
          // Who loads the page again now goes on with this data instead of making another.
          window.history.replaceState(null, "", data.done_url);
        }
        await send();
        conclude();
      } catch (error) {
        setBusy(false);
        if (error instanceof Cancelled) {
          note(words.cancelled);
          next({ done: words.open });
        } else if (error.answer?.errors) showErrors(error.answer.errors);
        else fail(data?.done_url ? fill(words.stopped, { reason: error.message }) : error.message);
      }
    }

    function conclude() {
      const failed = [...picked.values()].filter((entry) => entry.state === "failed");
      if (failed.length) {
        setBusy(false);
        showResult(words.failed, [...failed.map((entry) => [entry.path, entry.reason]), ...refused]);
        next({ retry: true, finish: picked.size > failed.length + refused.size });
        find("[data-upload-result]").focus();
      } else if (refused.size && refused.size === picked.size) {
        setBusy(false);
        showResult(words.refused, [...refused]);
        for (const path of refused.keys()) picked.delete(path);
        refused.clear();
        showPicked();
        fail(words.noneAccepted);
      } else commit();
    }

    async function commit() {
      setBusy(true);
      for (const part of ["pause", "resume", "again", "cancel"]) show(`[data-upload-${part}]`, false);
      say("[data-upload-words]", words.checking);
      try {
        await committed();
      } catch (error) {
        setBusy(false);
        fail(fill(words.stopped, { reason: error.message }));
        return;
      } finally {
        show("[data-upload-cancel]");
      }
      busy = false;
      if (!refused.size) {
        window.location.assign(data.done_url);
        return;
      }
      showResult(words.refused, [...refused]);
      show("[data-upload-state]", false);
      next({ done: words.goOn });
      find("[data-upload-done]").focus();
    }

    /** Commits; an answer that was lost is asked for. */
    async function committed() {
      for (let wait = 1000; ; wait = Math.min(30_000, wait * 2)) {
        try {
          await request("POST", `${api()}commit/`);
          return;
        } catch (error) {
          if (error instanceof Refused && error.status === 409) {
            if ((await request("GET", api())).status !== "uploading") return;
          }
          if (!(error instanceof Lost)) throw error;
          say("[data-upload-words]", words.lost);
          await new Promise((resolve) => setTimeout(resolve, wait));
          say("[data-upload-words]", words.checking);
        }
      }
    }

    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (busy) return;
      if (picked.size) run();
      else say("[data-upload-error]", words.fieldRequired);
    });
    find("[data-upload-retry]").addEventListener("click", () => {
      for (const entry of picked.values()) if (entry.state === "failed") Object.assign(entry, { state: "waiting", isLoaded: false });
      run();
    });
    find("[data-upload-finish]").addEventListener("click", () => {
      clearErrors();
      for (const entry of picked.values()) if (entry.state === "failed") refused.set(entry.path, entry.reason);
      commit();
    });
    const steer = { pause: "pause", resume: "resume", again: "wake", cancel: "cancel" };
    for (const [button, action] of Object.entries(steer)) {
      find(`[data-upload-${button}]`).addEventListener("click", () => {
        sender?.[action]();
        if (sender && busy) tick();
      });
    }
    window.addEventListener("online", () => sender?.wake());
    window.addEventListener("offline", () => busy && sender && tick());
    window.addEventListener("beforeunload", (event) => {
      if (busy) event.preventDefault();
    });

    /* -- What another time left ------------------------------------------------------------------ */
    async function listUnfinished() {
      const { results } = await request("GET", `${api()}uploads/?page_size=200`).catch(() => ({ results: [] }));
      show("[data-unfinished]", results.length > 0);
      find("[data-unfinished-list]").replaceChildren(
        ...results.map((upload) => {
          const made = line(upload.name, fill(words.bytes, { done: sizeText(upload.offset_bytes), all: sizeText(upload.size_bytes) }));
          const button = Object.assign(document.createElement("button"), { type: "button", className: "btn btn-sm", textContent: words.discard });
          button.setAttribute("aria-label", `${words.discard}: ${upload.name}`);
          button.addEventListener("click", async () => {
            button.disabled = true;
            await discard(upload.url).catch((error) => window.dlm.toast(error.message, "error"));
            listUnfinished();
          });
          made.append(button);
          return made;
        }),
      );
      return results;
    }

    if (data) {
      listUnfinished().then((results) => {
        if (results.some((upload) => upload.labels_from_folders)) find("[name=labels_from_folders]").checked = true;
      });
    }
    form.dataset.uploadReady = "0";
    form.dispatchEvent(new CustomEvent("dlm:changed", { bubbles: true }));
  }

  document.querySelectorAll("form[data-upload]").forEach(setUp);
})();
