// Draws the events of each hour, a line for each entity type.

import uPlot from "uplot";
import { Client } from "./fraiseql.mjs";

const ASSET = "analytics/events_hourly";
const COLOURS = ["#0b7285", "#e8590c", "#5f3dc4", "#2b8a3e", "#c2255c", "#495057"];

const form = document.querySelector("form");
const said = document.querySelector("#said");
const chart = document.querySelector("#chart");

form.addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  const given = new FormData(form);
  tell("Reading …");
  try {
    const client = new Client(given.get("url"), given.get("token"));
    const started = performance.now();
    const { rows: announced } = await client.about(ASSET);
    const table = await client.readAsset(ASSET);
    draw(byHour(table));
    const seconds = (performance.now() - started) / 1000;
    tell(`${ASSET}: ${table.numRows} rows of ${announced} announced, ${seconds.toFixed(2)} s`);
  } catch (error) {
    tell(error.message, true);
  }
});

/** The number of events by entity type, for each hour of the table. */
function byHour(table) {
  const hours = table.getChild("hour").toArray();
  const types = table.getChild("entity_type");
  const counts = table.getChild("event_count").toArray();
  const series = new Map();
  for (let row = 0; row < table.numRows; row++) {
    const hour = Number(hours[row]);
    const type = types.get(row);
    const line = series.get(type) ?? series.set(type, new Map()).get(type);
    line.set(hour, (line.get(hour) ?? 0) + Number(counts[row]));
  }
  return series;
}

function draw(series) {
  const times = [...new Set([...series.values()].flatMap((line) => [...line.keys()]))].sort((a, b) => a - b);
  const options = {
    width: 900,
    height: 400,
    series: [
      {},
      ...[...series.keys()].map((type, number) => ({
        label: type,
        stroke: COLOURS[number % COLOURS.length],
      })),
    ],
  };
  const lines = [...series.values()].map((line) => times.map((time) => line.get(time) ?? null));
  chart.replaceChildren();
  new uPlot(options, [times, ...lines], chart);
}

function tell(text, failed = false) {
  said.textContent = text;
  said.className = failed ? "failed" : "";
}
