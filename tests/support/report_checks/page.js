// Opens a page in Chromium and says what it did: node page.js NODE_MODULES_PARENT CHROMIUM PAGE [FOLDER]
// With a folder as fourth argument it leaves pictures there instead: 400, 1000 and 1600 pixels wide, light and dark.
// Prints JSON: requests, messages of the console, axe violations by theme, overflow by width, what the filters hide.
const fs = require("fs");
const path = require("path");

const [, , installed, executablePath, file, pictures] = process.argv;
const { chromium } = require(path.join(installed, "node_modules", "playwright-core"));
const axe = fs.readFileSync(path.join(installed, "node_modules", "axe-core", "axe.min.js"), "utf8");
const url = `file://${path.resolve(file)}`;

async function open(browser, options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const requests = [];
  const messages = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => messages.push(message.text()));
  page.on("pageerror", (error) => messages.push(String(error)));
  await page.goto(url);
  return { context, page, requests, messages };
}

async function violations(browser, colorScheme) {
  const { context, page } = await open(browser, { colorScheme, viewport: { width: 1000, height: 800 } });
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  await context.close();
  return found.violations.map((item) => `${item.id}: ${item.nodes.slice(0, 3).map((node) => node.html).join(" | ")}`);
}

async function overflow(browser, width) {
  const { context, page } = await open(browser, { viewport: { width, height: 800 }, javaScriptEnabled: false });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  await context.close();
  return wide;
}

async function filters(browser) {
  const { context, page } = await open(browser, { viewport: { width: 1000, height: 800 }, javaScriptEnabled: false });
  const seen = {};
  const visible = () => page.locator(".g:visible").count();
  seen.all = await visible();
  for (const label of await page.locator(".filters label").all()) {
    const name = await label.getAttribute("for");
    await label.click();
    seen[name] = await visible();
    await label.locator("xpath=ancestor::fieldset//label").first().click();
  }
  seen.again = await visible();
  await context.close();
  return seen;
}

async function photograph(browser) {
  for (const width of [400, 1000, 1600]) {
    for (const colorScheme of ["light", "dark"]) {
      const { context, page } = await open(browser, { colorScheme, viewport: { width, height: 1000 }, javaScriptEnabled: false });
      await page.screenshot({ path: path.join(pictures, `${width}-${colorScheme}.png`) });
      await context.close();
    }
  }
}

(async () => {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  if (pictures) {
    await photograph(browser);
    await browser.close();
    return;
  }
  const { context, page, requests, messages } = await open(browser, {});
  const scripts = await page.locator("script, iframe, object, embed, img, link, base, form").count();
  await context.close();
  const answer = { requests, messages, scripts, violations: {}, overflow: {}, filters: await filters(browser) };
  for (const scheme of ["light", "dark"]) answer.violations[scheme] = await violations(browser, scheme);
  for (const width of [320, 400, 1000, 1600]) answer.overflow[width] = await overflow(browser, width);
  await browser.close();
  console.log(JSON.stringify(answer));
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
