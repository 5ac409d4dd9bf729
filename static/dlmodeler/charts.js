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

  const number = (value) => (value === null || value === undefined ? "–" : Number(value).toPrecision(4).replace(/\.?0+$/, ""));

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

  const kinds = {
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
      merge: (_, fresh) => fresh,
      since: () => undefined,
      isEmpty: (data) => data.labels.length === 0,
      option(data) {
        const option = common();
        return {
          ...option,
          grid: { top: 8, right: 48, bottom: 8, left: 8, containLabel: true },
          tooltip: { ...option.tooltip, formatter: (points) => tip(points[0].name, [["", points[0].value]]) },
          xAxis: { type: "value", splitLine: { lineStyle: { color: "#eef1f3" } }, axisLabel: { color: INK } },
          yAxis: { type: "category", inverse: true, data: data.labels, axisTick: { show: false }, axisLine: { lineStyle: { color: LINE } }, axisLabel: { color: INK, width: 120, overflow: "truncate" } },
          series: [{ type: "bar", data: data.values, barMaxWidth: 18, itemStyle: { color: COLOURS[0], borderRadius: [0, 4, 4, 0] }, label: { show: true, position: "right", color: INK, formatter: (point) => number(point.value) } }],
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

    async function draw() {
      const address = new URL(figure.dataset.chartUrl, window.location.href);
      const since = kind.since(data);
      if (since !== undefined) address.searchParams.set("since", since);
      const answer = await fetch(address, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(`${answer.status} ${address}`);
      data = kind.merge(data, await answer.json());
      empty.hidden = !kind.isEmpty(data);
      if (kind.isEmpty(data)) return;
      const echarts = await loadECharts(figure.dataset.echarts);
      if (!chart) {
        chart = echarts.init(canvas, null, { renderer: "canvas" });
        new ResizeObserver(() => chart.resize()).observe(canvas);
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
