// Opens the page in headless Chromium, draws the chart, and prints what is there, as JSON.
//
//   node look.mjs http://127.0.0.1:8000/ chart.png

import { chromium } from "playwright-core";

const [page_url, picture] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"],
});
try {
  const page = await browser.newPage();
  const failures = [];
  const elsewhere = [];
  page.on("pageerror", (error) => failures.push(error.message));
  page.on("request", (request) => {
    if (new URL(request.url()).hostname !== "127.0.0.1") elsewhere.push(request.url());
  });
  await page.goto(page_url);
  await page.fill("input[name=url]", process.env.FRAISEQL_HTTP_URL || "http://127.0.0.1:8080");
  await page.fill("input[name=token]", process.env.FRAISEQL_FLIGHT_TOKEN || "");
  await page.click("button");
  await page.waitForFunction(() => !["", "Reading …"].includes(document.querySelector("#said").textContent));
  const said = await page.textContent("#said");
  const lines = await page.locator(".u-legend .u-series").count();
  const pixels = await page.evaluate(() => {
    const canvas = document.querySelector("#chart canvas");
    if (!canvas) return 0;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.filter((value, at) => at % 4 === 3 && value > 0).length;
  });
  if (picture) await page.screenshot({ path: picture });
  console.log(JSON.stringify({ said, lines, pixels, failures, elsewhere }));
} finally {
  await browser.close();
}
