/* The log of a training ([data-log], jobs/training_log.html): a window of it is in the page, the server searches all of it. */
(() => {
  "use strict";

  const POLL_MS = 2000;
  const WINDOW_BYTES = 65536;
  const MOST_LINES = 8000; // in the page
  const { fill } = window.dlm;
  const encoder = new TextEncoder();
  const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

  function start(box) {
    const form = box.querySelector("form");
    const { search, follow, found } = form.elements;
    const scroller = box.querySelector("[data-log-text]");
    const lines = box.querySelector("[data-log-lines]");
    const earlier = box.querySelector("[data-log-earlier]");
    const later = box.querySelector("[data-log-later]");
    const previous = box.querySelector("[data-log-step='-1']");
    let from = 0; // the bytes of the log that are in the page
    let to = 0;
    let matches = [];
    let place = -1;
    let wanted = "";
    let isPartial = false; // the last line has no end yet

    const isLive = () => document.querySelector(box.dataset.live) !== null;

    async function read(query) {
      const answer = await fetch(`${box.dataset.log}?${new URLSearchParams(query)}`);
      if (!answer.ok) throw new Error(String(answer.status));
      return { text: await answer.text(), from: Number(answer.headers.get("X-Offset")), to: Number(answer.headers.get("X-Next-Offset")) };
    }

    function paint(line) {
      const text = line.textContent;
      if (!wanted || !text.toLowerCase().includes(wanted.toLowerCase())) {
        if (line.firstElementChild) line.textContent = text;
        return;
      }
      line.replaceChildren(
        ...text.split(new RegExp(`(${escaped(wanted)})`, "i")).map((part, index) =>
          index % 2 ? Object.assign(document.createElement("mark"), { textContent: part }) : document.createTextNode(part),
        ),
      );
    }

    function made(text, offset) {
      const parts = text.split("\n");
      const ended = parts.at(-1) === "";
      if (ended) parts.pop();
      let at = offset;
      const rows = parts.map((part) => {
        const line = document.createElement("div");
        line.dataset.offset = at;
        line.textContent = part;
        paint(line);
        at += encoder.encode(part).length + 1;
        return line;
      });
      return { rows, ended };
    }

    function append(chunk) {
      const { rows, ended } = made(chunk.text, to);
      if (isPartial && rows.length && lines.lastElementChild) {
        lines.lastElementChild.textContent += rows.shift().textContent;
        paint(lines.lastElementChild);
      }
      lines.append(...rows);
      if (chunk.text) isPartial = !ended;
      to = chunk.to;
      while (lines.childElementCount > MOST_LINES) lines.firstElementChild.remove();
      from = Number(lines.firstElementChild?.dataset.offset ?? chunk.from);
      earlier.hidden = from === 0;
    }

    function show(chunk) {
      lines.replaceChildren();
      isPartial = false;
      from = to = chunk.from;
      append(chunk);
    }

    const toEnd = () => {
      scroller.scrollTop = scroller.scrollHeight;
    };

    async function tail() {
      show(await read({ last: WINDOW_BYTES }));
      later.hidden = true;
      toEnd();
    }

    async function poll() {
      const live = isLive();
      if (follow.checked && !document.hidden) {
        try {
          const chunk = await read({ offset: to });
          append(chunk);
          if (chunk.text) toEnd();
        } catch (error) {
          console.warn("log:", error);
        }
      }
      if (live) setTimeout(poll, POLL_MS);
    }

    earlier.addEventListener("click", async () => {
      const chunk = await read({ last: WINDOW_BYTES, before: from });
      const height = scroller.scrollHeight;
      lines.prepend(...made(chunk.text, chunk.from).rows);
      from = chunk.from;
      earlier.hidden = from === 0;
      scroller.scrollTop += scroller.scrollHeight - height;
    });
    later.addEventListener("click", async () => {
      const chunk = await read({ offset: to });
      later.hidden = !chunk.text;
      append(chunk);
    });
    follow.addEventListener("change", () => {
      if (follow.checked) tail();
    });

    function unfollow() {
      follow.checked = false;
      later.hidden = false;
    }
    // Who scrolls up wants to read.
    scroller.addEventListener("wheel", (event) => {
      if (event.deltaY < 0 && follow.checked) unfollow();
    }, { passive: true });

    async function go(step) {
      if (search.value !== wanted) {
        wanted = search.value;
        matches = [];
        place = -1;
        found.value = "";
        if (wanted) {
          const answer = await fetch(`${box.dataset.search}?${new URLSearchParams({ search: wanted })}`, { headers: { Accept: "application/json" } });
          if (!answer.ok) throw new Error(String(answer.status));
          const result = await answer.json();
          matches = Object.assign(result.matches, { total: result.count });
        }
        for (const line of lines.children) paint(line);
        if (step > 0) place = -1;
        else place = 0;
      }
      previous.disabled = !matches.length;
      if (!wanted) return;
      if (!matches.length) {
        found.value = box.dataset.none;
        return;
      }
      place = (place + step + matches.length) % matches.length;
      const whole = new Intl.NumberFormat(document.documentElement.lang || "en");
      found.value = fill(matches.total > matches.length ? box.dataset.first : box.dataset.of, {
        place: whole.format(place + 1),
        shown: whole.format(matches.length),
        count: whole.format(matches.total),
      });
      const { offset } = matches[place];
      unfollow();
      if (offset < from || offset >= to) {
        const [before, after] = await Promise.all([offset ? read({ last: 16384, before: offset }) : null, read({ offset })]);
        show(before ? { text: before.text + after.text, from: before.from, to: after.to } : after);
      }
      lines.querySelector("[data-current]")?.removeAttribute("data-current");
      let nearest = null;
      for (const line of lines.children) {
        if (!nearest || Math.abs(line.dataset.offset - offset) < Math.abs(nearest.dataset.offset - offset)) nearest = line;
      }
      nearest?.setAttribute("data-current", "");
      nearest?.scrollIntoView({ block: "center" });
    }

    const tried = (work) => work.catch(() => window.dlm.toast(box.dataset.failed, "error"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      tried(go(1));
    });
    previous.addEventListener("click", () => tried(go(-1)));
    search.addEventListener("search", () => {
      if (!search.value) tried(go(1));
    });

    tried(tail().then(poll));
  }

  document.querySelectorAll("[data-log]").forEach(start);
})();
