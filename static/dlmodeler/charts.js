/* Charts: <c-chart> names a kind and an address of JSON; ECharts is loaded when the first chart is seen. */
(() => {
  "use strict";

  const { words } = window.dlm;
  const POLL_MS = 2000;
  const INK = "#5b6874";
  const LINE = "#e1e6ea";
  const COLOURS = ["#0b8265", "#d9730d", "#2a6fdb", "#8f4bd0", "#c2313a", "#5b6874"];
  const FONT = getComputedStyle(document.body).fontFamily;
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
    return Number.isInteger(Number(value)) ? whole.format(value) : String(Number(Number(value).toPrecision(4)));
  }
  /** As short as an axis needs it. */
  const rough = (value) => (Math.abs(value) >= 100 ? whole.format(Math.round(value)) : String(Number(value.toPrecision(2))));

  // ECharts' own tooltip is text with style attributes, which the content policy forbids; elements are not.
  function tip(title, pairs) {
    const box = document.createElement("div");
    box.className = "dlm-chart-tip";
    box.append(Object.assign(document.createElement("p"), { textContent: title }));
    for (const [name, value] of pairs) {
      const line = document.createElement("div");
      line.append(
        Object.assign(document.createElement("span"), { textContent: name }),
        Object.assign(document.createElement("strong"), { textContent: number(value) }),
      );
      box.append(line);
    }
    return box;
  }

  const common = () => ({
    textStyle: { fontFamily: FONT, color: INK },
    color: COLOURS,
    animation: false,
    grid: { top: 44, right: 56, bottom: 40, left: 56 },
    tooltip: { trigger: "axis", confine: true, borderColor: LINE, textStyle: { color: "#1d2730", fontFamily: FONT } },
  });

  const UNITS = ["B", "KB", "MB", "GB", "TB"];
  function bytes(value) {
    const place = Math.min(Math.max(Math.floor(Math.log2(Math.max(value, 1)) / 10), 0), UNITS.length - 1);
    return `${Number((value / 1024 ** place).toPrecision(3))} ${UNITS[place]}`;
  }

  const still = { merge: (_, fresh) => fresh, since: () => undefined };
  const valueAxis = { type: "value", splitLine: { lineStyle: { color: "#eef1f3" } }, axisLabel: { color: INK, hideOverlap: true } };
  const namedAxis = (data, extra) => ({ type: "category", data, axisTick: { show: false }, axisLine: { lineStyle: { color: LINE } }, ...extra });

  /** A chart over the steps of the API's `metrics/` of a deployment: [{time, …}, …] of equal length. */
  const overTime = ({ isEmpty, series, axis = {}, shown = number }) => ({
    ...still,
    isEmpty: (steps) => !steps.some((step) => !isEmpty(step)),
    option(steps) {
      const option = common();
      const length = steps.length > 1 ? Date.parse(steps[1].time) - Date.parse(steps[0].time) : 0;
      const day = { month: "short", day: "numeric" };
      const clock = { hour: "2-digit", minute: "2-digit" };
      const title = new Intl.DateTimeFormat(document.documentElement.lang, length < 86_400_000 ? { ...day, ...clock } : day);
      const short = new Intl.DateTimeFormat(document.documentElement.lang, steps.length * length > 90_000_000 ? day : clock);
      return {
        ...option,
        grid: { top: 28, right: 12, bottom: 4, left: 4, containLabel: true },
        legend: { type: "scroll", top: 0, left: 0, icon: "roundRect", itemWidth: 14, itemHeight: 4, textStyle: { color: INK, fontFamily: FONT } },
        tooltip: {
          ...option.tooltip,
          formatter: (points) => tip(title.format(new Date(steps[points[0].dataIndex].time)), points.map((point) => [point.seriesName, shown(point.value)])),
        },
        xAxis: namedAxis(steps.map((step) => short.format(new Date(step.time))), { axisLabel: { color: INK, hideOverlap: true } }),
        yAxis: { ...valueAxis, splitNumber: 4, min: 0, ...axis },
        series: series(steps),
      };
    },
  });
  const overTimeLine = (name, values, colour) => ({ name, type: "line", showSymbol: true, symbolSize: 4, lineStyle: { width: 2, color: colour }, itemStyle: { color: colour }, data: values });
  const overTimeBar = (name, values, colour) => ({ name, type: "bar", stack: "all", barCategoryGap: "15%", itemStyle: { color: colour }, data: values });
  const CLASSES_SHOWN = 20;

  const kinds = {
    requests: overTime({
      isEmpty: (step) => step.requests === 0,
      axis: { minInterval: 1 },
      series: (steps) => [
        overTimeBar(words.answered, steps.map((step) => step.requests - step.errors), COLOURS[0]),
        overTimeBar(words.refused, steps.map((step) => step.errors), COLOURS[4]),
      ],
    }),

    latency: overTime({
      isEmpty: (step) => step.requests === 0,
      axis: { axisLabel: { color: INK, formatter: "{value} ms" } },
      shown: (value) => (value === null || value === undefined ? "–" : `${number(value)} ms`),
      series: (steps) => [
        overTimeLine(words.median, steps.map((step) => step.p50_ms), COLOURS[0]),
        overTimeLine("p95", steps.map((step) => step.p95_ms), COLOURS[2]),
        overTimeLine("p99", steps.map((step) => step.p99_ms), COLOURS[1]),
      ],
    }),

    classes: overTime({
      isEmpty: (step) => Object.keys(step.classes).length === 0,
      axis: { minInterval: 1 },
      series(steps) {
        const sums = new Map();
        for (const step of steps) for (const [name, count] of Object.entries(step.classes)) sums.set(name, (sums.get(name) ?? 0) + count);
        const names = [...sums.keys()].sort((a, b) => sums.get(b) - sums.get(a)).slice(0, CLASSES_SHOWN);
        return names.sort().map((name, place) => overTimeBar(name, steps.map((step) => step.classes[name] ?? 0), COLOURS[place % COLOURS.length]));
      },
    }),

    confidence: overTime({
      isEmpty: (step) => step.confidence === null,
      axis: { max: 1 },
      series: (steps) => [overTimeLine(words.confidence, steps.map((step) => step.confidence), COLOURS[3])],
    }),

    /** [{epoch, loss, accuracy, val_loss?, val_accuracy?}, …]: loss on the left axis, accuracy on the right. */
    training: {
      merge(old, fresh) {
        const rows = new Map((old ?? []).map((row) => [row.epoch, row]));
        for (const row of fresh) rows.set(row.epoch, row);
        return [...rows.values()].sort((a, b) => a.epoch - b.epoch);
      },
      since: (rows) => rows?.at(-1)?.epoch,
      isEmpty: (rows) => rows.length === 0,
      option(rows) {
        const line = (key, name, axis, colour, dashed) => ({
          name,
          type: "line",
          yAxisIndex: axis,
          showSymbol: rows.length < 40,
          symbolSize: 5,
          sampling: "lttb",
          lineStyle: { width: 2, type: dashed ? "dashed" : "solid", color: colour },
          itemStyle: { color: colour },
          data: rows.filter((row) => row[key] !== undefined && row[key] !== null).map((row) => [row.epoch, row[key]]),
        });
        const series = [
          line("loss", words.loss, 0, COLOURS[1], false),
          line("accuracy", words.accuracy, 1, COLOURS[0], false),
          line("val_loss", words.valLoss, 0, COLOURS[1], true),
          line("val_accuracy", words.valAccuracy, 1, COLOURS[0], true),
        ].filter((one) => one.data.length > 0);
        const axis = (name, extra) => ({ type: "value", name, scale: true, splitLine: { lineStyle: { color: "#eef1f3" } }, axisLabel: { color: INK }, ...extra });
        const option = common();
        return {
          ...option,
          legend: { top: 0, left: 0, icon: "roundRect", itemWidth: 14, itemHeight: 4, textStyle: { color: INK, fontFamily: FONT } },
          tooltip: {
            ...option.tooltip,
            formatter: (points) => tip(`${words.epoch} ${points[0].axisValue}`, points.map((point) => [point.seriesName, point.value[1]])),
          },
          xAxis: { type: "value", min: 1, max: "dataMax", minInterval: 1, name: words.epoch, nameLocation: "middle", nameGap: 26, splitLine: { show: false }, axisLine: { lineStyle: { color: LINE } }, axisLabel: { color: INK } },
          yAxis: [axis("", { min: 0 }), axis("", { min: 0, max: 1, splitLine: { show: false } })],
          series,
        };
      },
    },

    /** {labels: [text, …], values: [number, …]}: one horizontal bar for each label. */
    bars: {
      ...still,
      leastHeight: (data) => 40 + 20 * data.labels.length,
      isEmpty: (data) => data.labels.length === 0,
      option(data) {
        const option = common();
        return {
          ...option,
          grid: { top: 8, right: 48, bottom: 8, left: 8, containLabel: true },
          tooltip: { ...option.tooltip, formatter: (points) => tip(points[0].name, [["", points[0].value]]) },
          xAxis: { ...valueAxis, minInterval: 1, splitNumber: 4 },
          yAxis: namedAxis(data.labels, { inverse: true, axisLabel: { color: INK, width: 120, overflow: "truncate", interval: 0 } }),
          series: [{ type: "bar", data: data.values, barMaxWidth: 18, itemStyle: { color: COLOURS[0], borderRadius: [0, 4, 4, 0] }, label: { show: true, position: "right", color: INK, formatter: (point) => number(point.value) } }],
        };
      },
    },

    /** {edges: [n + 1 numbers], counts: [n], unit: "bytes" | ""}: one column for each bin, side by side. */
    histogram: {
      ...still,
      isEmpty: (data) => data.counts.length === 0,
      option(data) {
        const option = common();
        const shown = data.unit === "bytes" ? bytes : number;
        const range = (place) => `${shown(data.edges[place])} – ${shown(data.edges[place + 1])}`;
        return {
          ...option,
          grid: { top: 30, right: 12, bottom: 4, left: 4, containLabel: true },
          tooltip: { ...option.tooltip, axisPointer: { type: "shadow" }, formatter: (points) => tip(range(points[0].dataIndex), [[data.name ?? words.files, points[0].value]]) },
          xAxis: namedAxis(data.counts.map((_, place) => (data.unit === "bytes" ? bytes : rough)(data.edges[place])), { axisLabel: { color: INK, hideOverlap: true } }),
          yAxis: { ...valueAxis, minInterval: 1, splitNumber: 4, name: data.name ?? words.files, nameTextStyle: { color: INK, align: "left" } },
          series: [{ type: "bar", data: data.counts, barCategoryGap: "4%", barMaxWidth: 48, itemStyle: { color: COLOURS[0] } }],
        };
      },
    },

    /** {red: [n shares], green, blue}: a line for each, from dark to light. */
    colour: {
      ...still,
      isEmpty: (data) => data.red.length === 0,
      option(data) {
        const option = common();
        const levels = data.red.length;
        const line = (name, values, colour) => {
          const sum = values.reduce((total, value) => total + value, 0) || 1;
          return { name, type: "line", showSymbol: false, lineStyle: { width: 2, color: colour }, itemStyle: { color: colour }, areaStyle: { color: colour, opacity: 0.08 }, data: values.map((value) => (100 * value) / sum) };
        };
        return {
          ...option,
          grid: { top: 28, right: 12, bottom: 4, left: 4, containLabel: true },
          legend: { top: 0, left: 0, icon: "roundRect", itemWidth: 14, itemHeight: 4, textStyle: { color: INK, fontFamily: FONT } },
          tooltip: {
            ...option.tooltip,
            formatter: (points) => tip(`${points[0].name} – ${Number(points[0].name) + 256 / levels - 1}`, points.map((point) => [`${point.seriesName} %`, point.value])),
          },
          xAxis: namedAxis(data.red.map((_, place) => String((place * 256) / levels)), { boundaryGap: false, axisLabel: { color: INK, hideOverlap: true } }),
          yAxis: { ...valueAxis, splitNumber: 4, axisLabel: { color: INK, formatter: "{value} %" } },
          series: [line(words.red, data.red, COLOURS[4]), line(words.green, data.green, COLOURS[0]), line(words.blue, data.blue, COLOURS[2])],
        };
      },
    },

    /** {bins: [{from, to, count, accuracy | null, confidence | null}, …], words: {accuracy, confidence, samples}}. */
    calibration: {
      ...still,
      isEmpty: (data) => data.bins.every((bin) => !bin.count),
      option({ bins, words: called }) {
        const option = common();
        const percent = (share) => Math.round(100 * share);
        const share = (value) => (value === null ? null : 100 * value);
        return {
          ...option,
          grid: { top: 36, right: 16, bottom: 8, left: 8, containLabel: true },
          legend: { top: 0, left: 0, itemWidth: 14, itemHeight: 8, textStyle: { color: INK, fontFamily: FONT } },
          tooltip: {
            ...option.tooltip,
            formatter(points) {
              const bin = bins[points[0].dataIndex];
              return tip(points[0].name, [[`${called.accuracy} %`, share(bin.accuracy)], [`${called.confidence} %`, share(bin.confidence)], [called.samples, bin.count]]);
            },
          },
          xAxis: namedAxis(bins.map((bin) => `${percent(bin.from)}–${percent(bin.to)} %`), { axisLabel: { color: INK, hideOverlap: true } }),
          yAxis: { ...valueAxis, min: 0, max: 100, axisLabel: { color: INK, formatter: "{value} %" } },
          series: [
            { name: called.accuracy, type: "bar", barCategoryGap: "12%", itemStyle: { color: COLOURS[0] }, data: bins.map((bin) => share(bin.accuracy)) },
            { name: called.confidence, type: "line", showSymbol: true, symbolSize: 6, connectNulls: true, lineStyle: { width: 2, type: "dashed", color: COLOURS[1] }, itemStyle: { color: COLOURS[1] }, data: bins.map((bin) => share(bin.confidence)) },
          ],
        };
      },
    },

    /** {points: [[x, y], …], x: name, y: name, line: "equal" | "zero"}: a point for each, and the line of no error. */
    scatter: {
      ...still,
      isEmpty: (data) => data.points.length === 0,
      option(data) {
        const option = common();
        const every = data.points.map(([x]) => x).concat(data.line === "equal" ? data.points.map(([, y]) => y) : []);
        const least = every.reduce((one, other) => Math.min(one, other));
        const most = every.reduce((one, other) => Math.max(one, other));
        const at = data.line === "equal" ? [[least, least], [most, most]] : [[least, 0], [most, 0]];
        const axis = (name, extra) => ({ ...valueAxis, name, scale: true, nameTextStyle: { color: INK }, ...extra });
        return {
          ...option,
          grid: { top: 36, right: 20, bottom: 34, left: 8, containLabel: true },
          tooltip: { ...option.tooltip, trigger: "item", formatter: (point) => tip("", [[data.x, point.value[0]], [data.y, point.value[1]]]) },
          xAxis: axis(data.x, { nameLocation: "middle", nameGap: 26 }),
          yAxis: axis(data.y, { nameTextStyle: { color: INK, align: "left" } }),
          series: [
            { type: "scatter", symbolSize: 5, itemStyle: { color: COLOURS[0], opacity: 0.55 }, data: data.points },
            { type: "line", silent: true, showSymbol: false, tooltip: { show: false }, lineStyle: { width: 1.5, type: "dashed", color: COLOURS[1] }, data: at },
          ],
        };
      },
    },
  };

  async function start(figure) {
    const kind = kinds[figure.dataset.chart];
    const canvas = figure.querySelector("[data-chart-canvas]");
    const empty = figure.querySelector("[data-chart-empty]");
    const emptyText = empty.querySelector("span");
    let chart = null;
    let data = null;

    const isLive = () => Boolean(figure.dataset.live) && document.querySelector(figure.dataset.live) !== null;

    async function fetched() {
      if (figure.dataset.chartSource) return JSON.parse(document.getElementById(figure.dataset.chartSource).textContent);
      const address = new URL(figure.dataset.chartUrl, window.location.href);
      const since = kind.since(data);
      if (since !== undefined) address.searchParams.set("since", since);
      const answer = await fetch(address, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(`${answer.status} ${address}`);
      return answer.json();
    }

    async function draw() {
      data = kind.merge(data, await fetched());
      empty.hidden = !kind.isEmpty(data);
      if (kind.isEmpty(data)) return;
      const echarts = await loadECharts(figure.dataset.echarts);
      if (!chart) {
        if (kind.leastHeight) canvas.style.minBlockSize = `${kind.leastHeight(data)}px`;
        chart = echarts.init(canvas, null, { renderer: "canvas" });
        const sized = new ResizeObserver(() => {
          if (figure.isConnected) chart.resize();
          else {
            sized.disconnect();
            chart.dispose();
          }
        });
        sized.observe(canvas);
      }
      chart.setOption(kind.option(data), { replaceMerge: ["series"] }); // merging keeps an open tooltip
    }

    async function loop() {
      if (!figure.isConnected) {
        chart?.dispose();
        return;
      }
      const live = isLive();
      try {
        if (!document.hidden) await draw();
      } catch (error) {
        if (!live && !chart) {
          emptyText.textContent = words.chartFailed;
          empty.hidden = false;
        }
        console.warn("chart:", error);
      }
      // What was live before this answer may have gained values until now: one more look after the end.
      if (live) setTimeout(loop, POLL_MS);
    }

    await loop();
  }

  function setUp(root) {
    const figures = [...root.querySelectorAll("[data-chart]")];
    if (root.matches?.("[data-chart]")) figures.push(root);
    for (const figure of figures) {
      if (figure.dataset.started) continue;
      figure.dataset.started = "1";
      start(figure);
    }
  }

  setUp(document);
  document.addEventListener("htmx:load", (event) => setUp(event.detail.elt));
})();
