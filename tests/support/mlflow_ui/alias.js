// Sets an alias in MLflow's own dialog: node alias.js NODE_MODULES_PARENT CHROMIUM SERVER MODEL ALIAS PICTURE PAGE_PICTURE
// Prints JSON: what the dialog says, and what the gate's page of the version requests and holds.
const path = require("path");

const [, , installed, executablePath, server, model, alias, picture, pagePicture] = process.argv;
const { chromium } = require(path.join(installed, "node_modules", "playwright-core"));

async function dialog(browser) {
  const page = await (await browser.newContext({ viewport: { width: 1300, height: 900 } })).newPage();
  await page.goto(`${server}/#/models/${model}/versions/1`);
  await page.getByTitle("Add aliases").click({ timeout: 60000 });
  const box = page.getByRole("dialog");
  await box.locator("input").first().fill(alias);
  await page.keyboard.press("Enter");
  await box.getByRole("button", { name: /save/i }).click();
  const alert = box.getByRole("alert").or(box.getByText("zt-gate")).first();
  await alert.waitFor({ timeout: 30000 });
  const text = await box.innerText();
  await page.screenshot({ path: picture });
  return text;
}

async function version(browser) {
  const page = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
  const requests = [];
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(`${server}/zt-gate/version/${model}/1`);
  await page.screenshot({ path: pagePicture, fullPage: true });
  const active = await page.locator("script, iframe, object, embed, form").count();
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth).catch(() => 0);
  return { requests, active, wide, text: await page.locator("body").innerText() };
}

(async () => {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  const answer = { dialog: await dialog(browser), page: await version(browser) };
  await browser.close();
  console.log(JSON.stringify(answer));
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
