/* The curves of one training or of several, a graph for each metric ([data-curves], jobs/_curves.html). */
(() => {
  "use strict";

  const POLL_MS = 2000;
  const POINTS = 12000; // of all trainings, at once: beyond it the server chooses
  const MOST_POINTS = 4000; // of one training
  const INK = "#5b6874";
  const LINE = "#e1e6ea";
  const FONT = getComputedStyle(document.body).fontFamily;
  const TRAINING = "#0b8265";
  const VALIDATION = "#d9730d";
  const COLOURS = [
    "#0b8265", "#d9730d", "#2a6fdb", "#8f4bd0", "#c2313a", "#a3830a", "#0e8fa8", "#c24a91", "#5f7f1e", "#7a4a2b",
    "#4a5bd4", "#2f9e57", "#e0553d", "#6b7c8c", "#b06fe0", "#3f7f93", "#946c00", "#d06a9c", "#1c5d99", "#7d8f3c",
  ];
  const ORDER = ["loss", "accuracy"];
  const LAST = ["learning_rate", "images_per_second", "memory_bytes"];
  const UNITS = ["B", "KB", "MB", "GB", "TB"];
  const NOT_METRICS = new Set(["epoch", "step", "time", "seconds", "stage"]);
  let loading = null;

  function loadECharts(src) {
    loading ??= new Promise((resolve, reject) => {
      const script = Object.assign(document.createElement("script"), { src, onload: () => resolve(window.echarts), onerror: reject });
      document.head.append(script);
    });
    return loading;
  }

  const whole = new Intl.NumberFormat(document.documentElement.lang || "en");
  function number(value) {
    if (value === null || value === undefined) return "–";
    return Math.abs(value) >= 1000 ? whole.format(Math.round(value)) : String(Number(Number(value).toPrecision(4)));
  }

  function bytes(value) {
    const place = Math.min(Math.max(Math.floor(Math.log2(Math.max(value, 1)) / 10), 0), UNITS.length - 1);
    return `${Number((value / 1024 ** place).toPrecision(3))} ${UNITS[place]}`;
  }

  /** Seconds as 42 s, 3:20, 2:05:00. */
  function clock(seconds) {
    const all = Math.round(seconds);
    if (all < 60) return `${all} s`;
    const parts = [Math.floor(all / 3600), Math.floor((all % 3600) / 60), all % 60];
    if (!parts[0]) parts.shift();
    return parts.map((part, place) => (place ? String(part).padStart(2, "0") : part)).join(":");
  }

  const baseOf = (key) => key.replace(/^val_/, "");
  const isValidation = (key) => key.startsWith("val_");

  /** TensorBoard's smoothing: a moving average that weighs older values less, corrected for its start at 0. */
  function smoothed(points, weight) {
    let last = 0;
    let count = 0;
    return points.map(([x, y]) => {
      last = last * weight + (1 - weight) * y;
      count += 1;
      return [x, last / (1 - weight ** count)];
    });
  }

  /** The point of a line at x: the nearest one, none before its start and after its end. */
  function pointAt(data, x) {
    if (!data.length || x < data[0][0] || x > data.at(-1)[0]) return null;
    let low = 0;
    let high = data.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (data[middle][0] < x) low = middle + 1;
      else high = middle;
    }
    return low && x - data[low - 1][0] < data[low][0] - x ? data[low - 1] : data[low];
  }

  function start(box) {
    const config = JSON.parse(document.getElementById(box.dataset.curves).textContent);
    const { words } = config;
    const bar = box.querySelector("form").elements;
    const panels = new Map(); // metric -> {figure, chart}
    const place = box.querySelector("[data-curves-panels]");
    const empty = box.querySelector("[data-curves-empty]");
    const wholeRange = box.querySelector("[data-curves-whole]");
    const several = config.runs.length > 1;
    const share = Math.min(MOST_POINTS, Math.ceil(POINTS / config.runs.length));
    const runs = config.runs.map((run, index) => ({ ...run, colour: COLOURS[index % COLOURS.length], rows: [], shown: true }));
    let echarts = null;
    let marked = null; // the run that stands out

    if (several && runs.length > 3) bar.parts.value = "validation";

    async function fetchRun(run) {
      const address = new URL(run.url, window.location.href);
      // What came row by row grows without end: ask for a fresh choice of it.
      const last = run.rows.length > 3 * share ? undefined : run.rows.at(-1)?.epoch;
      address.searchParams.set("points", share);
      if (last !== undefined) address.searchParams.set("since", last);
      const answer = await fetch(address, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(`${answer.status} ${address}`);
      const fresh = await answer.json();
      run.isWhole = run.final;
      if (!fresh.length) return false;
      run.rows = last === undefined ? fresh : run.rows.concat(fresh);
      run.begin = new Date(run.rows[0].time) - run.rows[0].seconds * 1000;
      return true;
    }

    function metrics() {
      const keys = new Set();
      for (const run of runs) {
        for (const row of [run.rows[0], run.rows.at(-1)]) Object.keys(row ?? {}).forEach((key) => NOT_METRICS.has(key) || keys.add(baseOf(key)));
      }
      const rank = (key) => (ORDER.includes(key) ? ORDER.indexOf(key) : LAST.includes(key) ? 100 + LAST.indexOf(key) : 50);
      return [...keys].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
    }

    const x = (run, row) => (bar.x.value === "time" ? (new Date(row.time) - run.begin) / 1000 : row.epoch);

    function points(run, key) {
      const isLog = bar.log.checked && baseOf(key) === "loss";
      return run.rows
        .filter((row) => typeof row[key] === "number" && !(isLog && row[key] <= 0))
        .map((row) => [x(run, row), row[key]]);
    }

    function best(run) {
      if (run.best) return run.rows.find((row) => row.epoch === run.best);
      const key = run.rows.some((row) => typeof row.val_loss === "number") ? "val_loss" : "loss";
      let found = null;
      for (const row of run.rows) if (typeof row[key] === "number" && (!found || row[key] < found[key])) found = row;
      return found;
    }

    function marks(run) {
      const lines = [];
      const stages = run.rows.filter((row, index) => row.stage && row.stage !== run.rows[index - 1]?.stage);
      if (stages.length > 1) {
        for (const row of stages.slice(1)) {
          lines.push({ xAxis: x(run, row), label: { formatter: words.stages[row.stage] ?? row.stage, position: "insideEndBottom", distance: 4 }, lineStyle: { color: "#9aa7b2", type: "dotted" } });
        }
      }
      const top = run.rows.length > 1 ? best(run) : null;
      if (top) lines.push({ xAxis: x(run, top), label: { formatter: `${words.best} ${whole.format(top.epoch)}`, position: "end" }, lineStyle: { color: "#2a6fdb", type: "dashed" } });
      return { symbol: "none", silent: true, animation: false, data: lines, label: { color: INK, fontFamily: FONT, fontSize: 11 } };
    }

    const has = (run, key) => run.rows.some((row) => typeof row[key] === "number");

    /** The keys of a run's curves of a metric: of training and validation what is asked for, or what there is. */
    function keysOf(run, metric) {
      const { value: parts } = bar.parts;
      const keys = [metric, `val_${metric}`].filter((key) => has(run, key));
      return keys.filter((key) => keys.length === 1 || parts === "both" || isValidation(key) === (parts === "validation"));
    }

    /** Which parts a graph shows of a metric that is validated. */
    function partsOf(shown, metric) {
      if (!shown.some((run) => has(run, `val_${metric}`))) return { training: false, validation: false };
      const keys = shown.flatMap((run) => keysOf(run, metric));
      return { training: keys.includes(metric), validation: keys.includes(`val_${metric}`) };
    }

    function lines(run, metric, isFirst, isMixed) {
      const weight = Number(bar.smoothing.value);
      const chosen = keysOf(run, metric);
      const hasBoth = chosen.length > 1 || (several && isMixed);
      const faint = marked && marked !== run;
      return chosen.flatMap((key) => {
        const validation = isValidation(key);
        const colour = several ? run.colour : validation ? VALIDATION : TRAINING;
        const part = validation ? words.validation : words.training;
        const name = several ? (hasBoth ? `${run.name} · ${part}` : run.name) : has(run, `val_${metric}`) ? part : words.metrics[metric] ?? metric;
        const data = points(run, key);
        const base = {
          type: "line",
          name,
          color: colour,
          showSymbol: data.length < (several ? 2 : 40),
          symbolSize: 5,
          sampling: data.length > 2000 ? "lttb" : undefined,
          lineStyle: { width: marked === run ? 3 : 2, type: several && validation && isMixed ? "dashed" : "solid", color: colour, opacity: faint ? 0.15 : 1 },
          itemStyle: { color: colour, opacity: faint ? 0.15 : 1 },
          z: marked === run ? 3 : 2,
          emphasis: { disabled: true },
          data,
        };
        const mark = isFirst && key === chosen[0] && metric !== "memory_bytes" ? { markLine: marks(run) } : {};
        if (!weight || LAST.includes(metric)) return [{ ...base, ...mark }];
        return [
          { ...base, showSymbol: false, lineStyle: { ...base.lineStyle, width: 1, opacity: faint ? 0.05 : 0.25 }, tooltip: { show: false }, silent: true, isRaw: true },
          { ...base, ...mark, showSymbol: false, data: smoothed(data, weight) },
        ];
      });
    }

    function tip(title, pairs) {
      const said = document.createElement("div");
      said.className = pairs.length > 10 ? "dlm-chart-tip dlm-chart-tip-many" : "dlm-chart-tip";
      said.append(Object.assign(document.createElement("p"), { textContent: title }));
      for (const [name, value, colour] of pairs) {
        const line = document.createElement("div");
        const label = Object.assign(document.createElement("span"), { textContent: name });
        line.className = "dlm-chart-tip-line";
        const dot = document.createElement("i");
        dot.className = "dlm-curves-dot";
        dot.style.background = colour;
        label.prepend(dot);
        line.append(label, Object.assign(document.createElement("strong"), { textContent: value }));
        said.append(line);
      }
      return said;
    }

    function option(metric) {
      const shown = runs.filter((run) => run.shown && run.rows.length);
      const parts = partsOf(shown, metric);
      const series = shown.flatMap((run) => lines(run, metric, shown.length === 1, parts.training && parts.validation));
      const isLog = bar.log.checked && metric === "loss";
      const byTime = bar.x.value === "time";
      const format = metric === "memory_bytes" ? bytes : number;
      const names = series.filter((one) => !one.isRaw).map((one) => one.name);
      return {
        textStyle: { fontFamily: FONT, color: INK },
        animation: false,
        grid: { top: shown.length > 1 ? 12 : 44, right: 24, bottom: 28, left: 8, containLabel: true },
        legend: { show: !several && names.length > 1, data: [...new Set(names)], top: 0, left: 0, icon: "roundRect", itemWidth: 14, itemHeight: 4, textStyle: { color: INK, fontFamily: FONT } },
        tooltip: {
          trigger: "axis",
          confine: true,
          borderColor: LINE,
          textStyle: { color: "#1d2730", fontFamily: FONT },
          formatter(found) {
            const at = byTime ? clock(found[0].axisValue) : `${words.epoch} ${whole.format(found[0].axisValue)}`;
            // By run time the points of no two trainings meet: each line is asked for its own.
            const said = series
              .filter((one) => !one.isRaw)
              .map((one) => ({ name: one.name, color: one.color, value: pointAt(one.data, found[0].axisValue)?.[1] }))
              .filter((one) => one.value !== undefined);
            if (several) said.sort((a, b) => b.value - a.value);
            return tip(at, said.map((one) => [one.name, format(one.value), one.color]));
          },
        },
        // Without icons: its brush is always on (below).
        toolbox: { show: true, itemSize: 0, showTitle: false, top: -50, feature: { dataZoom: { yAxisIndex: "none", filterMode: "filter" } } },
        dataZoom: [{ type: "inside", filterMode: "filter", zoomOnMouseWheel: false, moveOnMouseMove: false, moveOnMouseWheel: false, preventDefaultMouseMove: false }],
        xAxis: {
          type: "value",
          min: byTime ? 0 : 1,
          max: "dataMax",
          minInterval: byTime ? 0 : 1,
          axisLine: { lineStyle: { color: LINE } },
          splitLine: { show: false },
          axisLabel: { color: INK, hideOverlap: true, formatter: byTime ? clock : (value) => (Number.isInteger(value) ? whole.format(value) : "") },
        },
        yAxis: {
          type: isLog ? "log" : "value",
          // A logarithmic axis would go on to the next powers of ten.
          min: isLog ? ({ min }) => (Number.isFinite(min) ? Number((0.9 * min).toPrecision(2)) : null) : undefined,
          max: isLog ? ({ max }) => (Number.isFinite(max) ? Number((1.1 * max).toPrecision(2)) : null) : undefined,
          scale: true,
          splitNumber: 5,
          axisLabel: { color: INK, hideOverlap: true, formatter: format },
          splitLine: { lineStyle: { color: "#eef1f3" } },
        },
        series,
      };
    }

    function panel(metric) {
      let found = panels.get(metric);
      if (found) return found;
      const figure = box.querySelector("template").content.firstElementChild.cloneNode(true);
      const caption = Object.assign(document.createElement("figcaption"), { textContent: words.metrics[metric] ?? metric });
      const key = Object.assign(document.createElement("span"), { className: "dlm-curves-key" });
      caption.append(key);
      figure.prepend(caption);
      const canvas = figure.querySelector(".dlm-curves-canvas");
      canvas.setAttribute("aria-label", words.metrics[metric] ?? metric);
      figure.classList.toggle("dlm-curves-small", LAST.includes(metric));
      const next = [...panels.entries()].find(([other]) => metrics().indexOf(other) > metrics().indexOf(metric));
      place.insertBefore(figure, next ? next[1].figure : null);
      const chart = echarts.init(canvas, null, { renderer: "canvas" });
      chart.group = box.dataset.curves;
      new ResizeObserver(() => chart.resize()).observe(canvas);
      chart.getZr().on("dblclick", showWhole);
      chart.on("datazoom", () => {
        wholeRange.disabled = false;
      });
      found = { figure, chart, key };
      panels.set(metric, found);
      return found;
    }

    /** What lines of one colour are: solid for training, dashed for validation where both are in the graph. */
    function explain(key, metric) {
      const { training, validation } = partsOf(runs.filter((run) => run.shown && run.rows.length), metric);
      const line = (name, isDashed) => {
        const text = Object.assign(document.createElement("span"), { textContent: name });
        const sample = document.createElement("i");
        if (isDashed) sample.className = "dlm-curves-dashed";
        text.prepend(sample);
        return text;
      };
      key.replaceChildren(...(training ? [line(words.training, false)] : []), ...(validation ? [line(words.validation, training)] : []));
    }

    function showWhole() {
      for (const { chart } of panels.values()) {
        chart.dispatchAction({ type: "dataZoom", batch: (chart.getOption().dataZoom ?? []).map((_, dataZoomIndex) => ({ dataZoomIndex, start: 0, end: 100 })) });
      }
      wholeRange.disabled = true;
    }

    function draw() {
      const keys = metrics();
      empty.hidden = keys.length > 0;
      for (const metric of keys) {
        const { chart, key } = panel(metric);
        if (several) explain(key, metric);
        chart.setOption(option(metric), { replaceMerge: ["series"] }); // merging keeps the zoom and an open tooltip
        chart.dispatchAction({ type: "takeGlobalCursor", key: "dataZoomSelect", dataZoomSelectActive: matchMedia("(pointer: fine)").matches });
      }
      if (keys.length) echarts.connect(box.dataset.curves);
      bar.smoothed.value = Number(bar.smoothing.value).toFixed(2);
    }

    async function loop() {
      const isLive = Boolean(box.dataset.live) && document.querySelector(box.dataset.live) !== null;
      if (!document.hidden) {
        try {
          const news = await Promise.all(runs.filter((run) => !run.isWhole).map(fetchRun));
          echarts ??= await loadECharts(box.dataset.echarts);
          if (news.some(Boolean)) draw();
        } catch (error) {
          if (!panels.size && !isLive) empty.querySelector("span").textContent = words.failed;
          console.warn("curves:", error);
        }
      }
      // What was live before this answer may have gained values until now: one more look after the end.
      if (isLive) setTimeout(loop, POLL_MS);
    }

    let drawing = 0;
    function drawSoon() {
      cancelAnimationFrame(drawing);
      drawing = requestAnimationFrame(() => echarts && draw());
    }
    box.querySelector("form").addEventListener("input", (event) => {
      if (event.target.name === "x") showWhole();
      drawSoon();
    });
    box.querySelector("form").addEventListener("submit", (event) => event.preventDefault());
    wholeRange.addEventListener("click", showWhole);
    // Boxes of the table beside it show and hide their training.
    document.addEventListener("change", (event) => {
      const run = runs.find((each) => String(each.id) === event.target.dataset?.curvesRun);
      if (!run) return;
      run.shown = event.target.checked;
      drawSoon();
    });
    // Who points at a training's name, or comes to it by keyboard, sees its curves stand out.
    for (const kind of ["mouseover", "focusin", "mouseout", "focusout"]) {
      document.addEventListener(kind, (event) => {
        const id = event.target.closest?.("[data-curves-item]")?.dataset.curvesItem;
        const run = kind === "mouseover" || kind === "focusin" ? runs.find((each) => String(each.id) === id) ?? null : null;
        if ((!id && !marked) || run === marked) return;
        marked = run?.shown ? run : null;
        drawSoon();
      });
    }
    function paintSwatches() {
      for (const swatch of document.querySelectorAll("[data-curves-colour]")) {
        const run = runs.find((each) => String(each.id) === swatch.dataset.curvesColour);
        if (run) swatch.style.background = run.colour;
      }
    }
    paintSwatches();
    document.addEventListener("htmx:load", paintSwatches);
    loop();
  }

  document.querySelectorAll("[data-curves]").forEach(start);
})();
