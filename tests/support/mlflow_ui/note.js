// What MLflow's own page of a version shows of the gate's note: node note.js NODE_MODULES_PARENT CHROMIUM SERVER MODEL PICTURE
// Prints JSON: the text of the page, where the note's link leads, and the text of the page that it opens.
const path = require("path");

const [, , installed, executablePath, server, model, picture] = process.argv;
const { chromium } = require(path.join(installed, "node_modules", "playwright-core"));

(async () => {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  const context = await browser.newContext({ viewport: { width: 1300, height: 1100 } });
  const page = await context.newPage();
  await page.goto(`${server}/#/models/${model}/versions/1`);
  const link = page.getByRole("link", { name: "What holds now" });
  await link.waitFor({ timeout: 60000 });
  await page.screenshot({ path: picture });
  const text = await page.locator("body").innerText();
  const href = await link.evaluate((element) => element.href);
  const opened = await context.newPage();
  await opened.goto(href);
  console.log(JSON.stringify({ text, link: href, page: await opened.locator("body").innerText() }));
  await browser.close();
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
