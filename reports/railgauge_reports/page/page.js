// Draws every chart of the page. Data comes by column; Vega wants it by row.
"use strict";
(() => {
  const rows = (columns) => {
    const named = Object.entries(columns).map(([name, packed]) => [name, column(packed)]);
    const count = named.length ? named[0][1].length : 0;
    return Array.from({ length: count }, (_, k) =>
      Object.fromEntries(named.map(([name, values]) => [name, values[k]])));
  };
  // words stand once each, and then by their number
  const column = (packed) => packed.words ? packed.at.map((k) => packed.words[k]) : packed;
  const draw = async (holder) => {
    const { spec, data } = JSON.parse(document.getElementById(holder.dataset.chart).textContent);
    spec.datasets = Object.fromEntries(Object.entries(data).map(([name, columns]) => [name, rows(columns)]));
    // Vega names the element that it draws in; the holder's own name says more
    const plot = holder.appendChild(document.createElement("div"));
    plot.setAttribute("aria-hidden", "true");
    try {
      await window.vegaEmbed(plot, spec, {
        ast: true, actions: false, renderer: "svg", defaultStyle: false,
        tooltip: { theme: "custom", disableDefaultStyle: true },
      });
      holder.dataset.drawn = "yes";
    } catch (error) {
      holder.dataset.drawn = "no";
      holder.textContent = `This chart could not be drawn (${error.message}); the table below has its values.`;
    }
  };
  const opened = new Set();
  // paper shows the shorter tables that the screen folds away
  window.addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details.values:not([open])")) {
      if (part.querySelectorAll("tr").length > 31) continue;
      part.open = true;
      opened.add(part);
    }
  });
  window.addEventListener("afterprint", () => {
    for (const part of opened) part.open = false;
    opened.clear();
  });
  Promise.all(Array.from(document.querySelectorAll("[data-chart]"), draw)).then(() => {
    document.documentElement.dataset.ready = "yes";
  });
})();
