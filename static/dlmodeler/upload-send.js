/* Sends files to a data: small ones in batches, large ones and archives by tus, which goes on where it broke off. */
(() => {
  "use strict";

  const { csrfToken } = window.dlm;
  const words = { ...window.dlm.words, ...document.querySelector("[data-upload-texts]").dataset };
  const { loaded } = window.dlm.upload;
  const MIB = 1024 * 1024;
  const LARGE_BYTES = 8 * MIB;
  const BATCH_FILES = 100;
  const BATCH_BYTES = 16 * MIB;
  const PIECE_BYTES = 16 * MIB;
  const LANES = 4; // of the six connections that a browser has to one server
  const ASK_FILES = 1000;
  const SERVER_TRIES = 4;
  const SILENCE_MS = 60_000; // while bytes are to be sent
  const ANSWER_MS = 300_000; // after the last of them

  /** The server was not reached, or went away: tried again until it answers. */
  class Lost extends Error {}
  /** An answer that says no; what it says is shown as it is. */
  class Refused extends Error {
    constructor(message, status, answer) {
      super(message);
      Object.assign(this, { status, answer, reason: answer?.reason });
    }
  }
  /** The file on this computer cannot be read any more. */
  class Unreadable extends Error {}
  /** A request was given up because of a pause. */
  class Aborted extends Error {}
  /** The user ended the upload. */
  class Cancelled extends Error {}

  const parsed = (text) => {
    try {
      return JSON.parse(text);
    } catch {
      return null; // a proxy's or a log-in page
    }
  };

  function failure(status, text) {
    const answer = parsed(text);
    if ([0, 429, 502, 503, 504].includes(status) || answer?.reason === "interrupted") return new Lost(words.offline);
    return new Refused(answer?.error ?? words.requestFailed, status, answer);
  }

  /** Calls `giveUp` when nothing was heard for too long; `heard(true)` after the last byte. */
  function listening(giveUp) {
    let timer;
    const heard = (isAllSent = false) => {
      clearTimeout(timer);
      timer = setTimeout(giveUp, isAllSent ? ANSWER_MS : SILENCE_MS);
    };
    heard();
    return { heard, end: () => clearTimeout(timer) };
  }

  /** One request. `aborts` holds, while it runs, the function that gives it up. */
  function request(method, url, { body = null, json = false, headers = {}, onProgress, aborts = new Set() } = {}) {
    return new Promise((resolve, reject) => {
      const call = new XMLHttpRequest();
      const silence = listening(() => abort(new Lost(words.offline)));
      const abort = (error = new Aborted()) => {
        end(() => reject(error));
        call.abort();
      };
      const end = (go) => {
        silence.end();
        aborts.delete(abort);
        go();
      };
      aborts.add(abort);
      call.open(method, url);
      const all = { "X-CSRFToken": csrfToken(), Accept: "application/json", ...(json ? { "Content-Type": "application/json" } : {}), ...headers };
      for (const [name, value] of Object.entries(all)) call.setRequestHeader(name, value);
      call.upload.onprogress = (event) => {
        silence.heard(event.loaded === event.total);
        onProgress?.(event.loaded);
      };
      call.onerror = call.ontimeout = () => end(() => reject(new Lost(words.offline)));
      call.onload = () =>
        end(() => {
          const answer = parsed(call.responseText);
          if (call.status < 300 && (answer !== null || call.status === 204)) resolve(answer);
          else reject(failure(call.status, call.responseText));
        });
      call.send(json ? JSON.stringify(body) : body);
    });
  }

  /** After a new log-in in another tab, this page's token is out of date: takes the one of a fresh page. */
  async function renewToken() {
    try {
      const page = new DOMParser().parseFromString(await (await fetch(window.location.href)).text(), "text/html");
      const token = page.querySelector('meta[name="csrf-token"]')?.content;
      if (token) document.querySelector('meta[name="csrf-token"]').content = token;
    } catch {
      // Not reached: the requests that follow will find out.
    }
  }

  const isReadable = async (file) => {
    try {
      await file.slice(0, 1).arrayBuffer();
      return true;
    } catch {
      return false;
    }
  };

  /** Discards an unfinished upload; one that is gone already is as good. */
  async function discard(url, aborts) {
    try {
      await request("DELETE", url, { headers: { "Tus-Resumable": "1.0.0" }, aborts });
    } catch (error) {
      if (error.status !== 404) throw error;
    }
  }

  class Sender {
    /**
     * `options`: {unzip, labels_from_folders}; `resumes`: the data may have some of the files already. Every entry ends
     * sent, there, refused or failed.
     */
    constructor({ url, entries, options, resumes }) {
      Object.assign(this, { url, options, entries, resumes });
      this.totalBytes = 0; // of the files that were looked at; of all once `isSorted`
      this.doneFiles = 0;
      this.doneBytes = 0;
      this.thereFiles = 0;
      this.large = []; // those that go by tus
      this.ready = { large: [], batches: [] };
      this.isSorted = false;
      this.listeners = []; // lanes that wait for something to send
      this.moving = new Map(); // entry or batch -> bytes that have arrived
      this.held = ""; // why the server takes nothing more from this user
      this.lost = 0; // lanes that wait for the server
      this.isPaused = false;
      this.ended = null; // the error that ends all lanes
      this.aborts = new Set();
      this.sleepers = new Set();
    }

    get bytes() {
      let moving = 0;
      for (const bytes of this.moving.values()) moving += bytes;
      return Math.min(this.totalBytes, this.doneBytes + moving);
    }

    get phase() {
      if (this.isPaused) return this.held ? "held" : "paused";
      if (this.lost) return "lost";
      return this.resumes && !this.isSorted && !this.moving.size ? "comparing" : "sending";
    }

    /* -- Steering -------------------------------------------------------------------------------- */
    pause() {
      this.isPaused = true;
      this.abortAll();
    }

    async resume() {
      if (this.held) await renewToken();
      this.held = "";
      this.isPaused = false;
      this.wake();
    }

    cancel() {
      this.end(new Cancelled());
    }

    /** Tries again at once what waits for the server. */
    wake() {
      for (const wake of [...this.sleepers]) wake();
    }

    end(error) {
      this.ended ??= error;
      this.abortAll();
      this.wake();
      this.tell();
    }

    abortAll() {
      for (const abort of [...this.aborts]) abort();
    }

    sleep(ms) {
      return new Promise((resolve) => {
        const wake = () => {
          clearTimeout(timer);
          this.sleepers.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, ms);
        this.sleepers.add(wake);
      });
    }

    /** Does `go` until it comes through: waits out pauses and lost connections, for as long as they last. */
    async attempt(go) {
      for (let failures = 0; ; ) {
        while (this.isPaused && !this.ended) await this.sleep(3_600_000);
        if (this.ended) throw this.ended;
        try {
          return await go();
        } catch (error) {
          if (this.ended) throw this.ended;
          if (error instanceof Aborted) continue;
          if (error instanceof Refused && [401, 403].includes(error.status)) {
            this.held = error.message;
            this.pause();
            continue;
          }
          failures = error.hasMoved ? 1 : failures + 1;
          const isTheirs = error instanceof Refused && error.status >= 500 && error.status !== 507;
          if (!(error instanceof Lost) && !(isTheirs && failures < SERVER_TRIES)) throw error;
          this.lost += 1;
          await this.sleep(Math.min(30_000, 500 * 2 ** failures) * (0.75 + Math.random() / 2));
          this.lost -= 1;
        }
      }
    }

    request(method, path, options) {
      return request(method, this.url + path, { aborts: this.aborts, ...options });
    }

    settle(entry, state, reason = "") {
      this.moving.delete(entry);
      Object.assign(entry, { state, reason });
      this.doneFiles += 1;
      this.doneBytes += entry.size;
      if (state === "there") this.thereFiles += 1;
    }

    /* -- The whole ------------------------------------------------------------------------------- */
    async run() {
      const over = (error) => this.end(error);
      const lane = async (first) => {
        for (;;) {
          const { large, batches } = this.ready;
          if (this.ended) return;
          if (first === "large" && large.length) await this.sendLarge(large.shift());
          else if (batches.length) await this.sendBatch(batches.shift());
          else if (large.length) await this.sendLarge(large.shift());
          else if (this.isSorted) return;
          else await new Promise((resolve) => this.listeners.push(resolve));
        }
      };
      const lanes = Array.from({ length: LANES }, (_, number) => lane(number % 2 ? "batches" : "large").catch(over));
      await Promise.all([this.sort().catch(over), ...lanes]);
      if (this.ended) throw this.ended;
    }

    /** Lanes look again for something to send. */
    tell() {
      for (const listener of this.listeners.splice(0)) listener();
    }

    /** Looks at the files, leaves out those that are there already, and gives the lanes what is to be sent. */
    async sort() {
      const unfinished = this.resumes ? await this.unfinished() : new Map();
      let batch = [];
      let bytes = 0;
      let asked = [];
      const give = () => {
        if (batch.length) this.ready.batches.push(batch);
        batch = [];
        bytes = 0;
        this.tell();
      };
      const take = async (entries) => {
        if (this.resumes) await this.leaveOutThere(entries);
        for (const entry of entries) {
          if (entry.state !== "waiting") continue;
          if (entry.isArchive || entry.size > LARGE_BYTES) {
            await this.match(entry, unfinished.get(entry.path.normalize("NFC")));
            this.large.push(entry);
            this.ready.large.push(entry);
            this.tell();
            continue;
          }
          if (batch.length >= BATCH_FILES || bytes + entry.size > BATCH_BYTES) give();
          batch.push(entry);
          bytes += entry.size;
        }
      };
      for await (const some of loaded(this.entries)) {
        if (this.ended) return;
        for (const entry of some) {
          this.totalBytes += entry.size;
          if (entry.file) asked.push(entry);
          else this.settle(entry, "failed", words.unreadable);
        }
        if (this.resumes && asked.length < ASK_FILES) continue;
        await take(asked);
        asked = [];
      }
      await take(asked);
      this.isSorted = true;
      give();
    }

    async leaveOutThere(entries) {
      for (const unzip of [false, true]) {
        const some = entries.filter((entry) => (entry.isArchive && this.options.unzip) === unzip);
        if (!some.length) continue;
        const files = some.map((entry) => ({ name: entry.path, size_bytes: entry.size }));
        const body = { files, unzip, labels_from_folders: this.options.labels_from_folders };
        const answer = await this.attempt(() => this.request("POST", "files/missing/", { body, json: true }));
        const missing = new Set(answer.missing);
        for (const entry of some) if (!missing.has(entry.path)) this.settle(entry, "there");
      }
    }

    /** The unfinished uploads of the data by name, from whatever browser they come. */
    async unfinished() {
      const { results } = await this.attempt(() => this.request("GET", "uploads/?page_size=200"));
      return new Map(results.map((upload) => [upload.name, upload]));
    }

    /** Lets the entry go on where `upload` broke off, if that is of the same file; another version is discarded. */
    async match(entry, upload) {
      if (!upload) return;
      const isSame =
        upload.size_bytes === entry.size &&
        upload.modified === String(entry.file.lastModified) &&
        upload.labels_from_folders === this.options.labels_from_folders &&
        upload.unzip === (entry.isArchive && this.options.unzip);
      if (isSame) {
        entry.url = upload.url;
        this.moving.set(entry, upload.offset_bytes);
      } else await this.attempt(() => discard(upload.url, this.aborts));
    }

    /* -- Small files ----------------------------------------------------------------------------- */
    async sendBatch(batch) {
      try {
        const answer = await this.attempt(() => this.post(batch));
        batch.forEach((entry, index) => {
          if (answer[index].state === "rejected") this.settle(entry, "refused", answer[index].error);
          else this.settle(entry, "sent");
        });
      } catch (error) {
        if (!(error instanceof Refused) || this.ended || this.isFatal(error)) throw error;
        if (error.status === 413 && batch.length > 1) {
          // Something between here and the server takes less.
          const half = Math.ceil(batch.length / 2);
          await this.sendBatch(batch.slice(0, half));
          await this.sendBatch(batch.slice(half));
        } else for (const entry of batch) this.settle(entry, "failed", error.message);
      } finally {
        this.moving.delete(batch);
      }
    }

    async post(batch) {
      if (!batch.length) return [];
      const body = new FormData();
      let bytes = 0;
      for (const { file, path, size } of batch) {
        body.append("files", file, file.name);
        body.append("paths", path);
        bytes += size;
      }
      if (this.options.labels_from_folders) body.append("labels_from_folders", "true");
      const onProgress = (loaded) => this.moving.set(batch, Math.min(loaded, bytes));
      try {
        return await this.request("POST", "files/", { body, onProgress });
      } catch (error) {
        this.moving.delete(batch);
        if (error instanceof Lost) await this.leaveOutUnreadable(batch);
        throw error;
      }
    }

    /** A file that cannot be read looks like a lost connection, and would be so for ever. */
    async leaveOutUnreadable(batch) {
      const readable = await Promise.all(batch.map((entry) => isReadable(entry.file)));
      for (let index = batch.length - 1; index >= 0; index -= 1) {
        if (!readable[index]) this.settle(batch.splice(index, 1)[0], "failed", words.unreadable);
      }
    }

    isFatal(error) {
      return error.status === 404 || error.reason === "not_uploading";
    }

    /* -- Large files ----------------------------------------------------------------------------- */
    async sendLarge(entry) {
      try {
        await this.attempt(() => this.transfer(entry));
        const upload = await this.attempt(() => request("GET", entry.url, { aborts: this.aborts }));
        if (upload.state === "rejected") this.settle(entry, "refused", upload.error);
        else this.settle(entry, "sent");
      } catch (error) {
        if (error instanceof Unreadable) this.settle(entry, "failed", words.unreadable);
        else if (error instanceof Refused && error.reason === "invalid_name") this.settle(entry, "refused", error.message);
        else if (error instanceof Refused && !this.ended && !this.isFatal(error)) this.settle(entry, "failed", error.message);
        else throw error;
      }
    }

    /** Sends what the server does not have yet of a file. */
    transfer(entry) {
      const from = this.moving.get(entry) ?? 0;
      this.moving.set(entry, from);
      return new Promise((resolve, reject) => {
        const silence = listening(() => abort(new Lost(words.offline)));
        const abort = (error = new Aborted()) => {
          end(() => reject(error));
          upload.abort();
        };
        const end = (go) => {
          silence.end();
          this.aborts.delete(abort);
          go();
        };
        this.aborts.add(abort);
        const upload = new window.tus.Upload(entry.file, {
          // Never both: tus would begin anew whenever the server cannot say where to go on.
          ...(entry.url ? { uploadUrl: entry.url } : { endpoint: `${this.url}uploads/` }),
          chunkSize: PIECE_BYTES,
          retryDelays: null,
          storeFingerprintForResuming: false,
          headers: { "X-CSRFToken": csrfToken(), Accept: "application/json" },
          metadata: {
            name: entry.path,
            modified: String(entry.file.lastModified),
            unzip: String(entry.isArchive && this.options.unzip),
            labels_from_folders: String(this.options.labels_from_folders),
          },
          onUploadUrlAvailable: () => (entry.url = upload.url),
          onProgress: (bytes) => {
            silence.heard(bytes === entry.size);
            this.moving.set(entry, bytes);
          },
          onSuccess: () => end(resolve),
          onError: async (error) => {
            const answer = error.originalResponse;
            const status = answer?.getStatus() ?? 0;
            const failed = failure(status, answer?.getBody() ?? "");
            const isGone = entry.url && [404, 410].includes(status);
            if (isGone) Object.assign(entry, { url: null });
            if (isGone || failed.reason === "offset_mismatch") end(() => reject(new Lost(words.offline)));
            else if (status === 0 && !(await isReadable(entry.file))) end(() => reject(new Unreadable()));
            else end(() => reject(Object.assign(failed, { hasMoved: (this.moving.get(entry) ?? 0) > from })));
          },
        });
        upload.start();
      });
    }
  }

  Object.assign(window.dlm.upload, { words, request, discard, Sender, Lost, Refused, Cancelled });
})();
