// Tries the dashboard in a real browser while a sweep runs: node try.mjs URL STUDY-IN-TRAINING HOSTILE-STUDY [SCREENSHOTS]
// Needs Chromium ($CHROMIUM, else /usr/bin/chromium) and the npm package playwright-core, found by NODE_PATH (`just node` gets it).
// Exits 1 if a check failed, 2 if it can't run.
import { createRequire } from "node:module";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";

const [base, growing, hostile, shots] = process.argv.slice(2);
const browserPath = process.env.CHROMIUM ?? "/usr/bin/chromium";
let chromium;
try {
  ({ chromium } = createRequire(join(process.cwd(), "x.js"))("playwright-core"));
} catch {
  console.error("playwright-core is missing: `just node`, and NODE_PATH=target/node/node_modules");
  process.exit(2);
}
if (!hostile || !existsSync(browserPath)) {
  console.error("usage: node try.mjs URL STUDY HOSTILE-STUDY [SCREENSHOTS], with a browser at $CHROMIUM");
  process.exit(2);
}
if (shots) mkdirSync(shots, { recursive: true });

let passed = 0, failed = 0;
function check(ok, what, detail = "") {
  if (ok) passed += 1;
  else {
    failed += 1;
    console.error(`FAILED: ${what}${detail === "" ? "" : ` (${detail})`}`);
  }
}

const flags = ["no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync"];
const browser = await chromium.launch({ executablePath: browserPath, headless: true, args: flags.map((flag) => `--${flag}`) });

// A page that fails the try when it complains, or wants something from elsewhere.
async function open(path, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.on("console", (m) => check(/status of (404|503)/.test(m.text()), "console is silent", m.text()));
  page.on("pageerror", (error) => check(false, "no script error", error.stack));
  page.on("dialog", (dialog) => { check(false, "no dialog", dialog.message()); dialog.dismiss(); });
  page.on("request", (request) => { if (!request.url().startsWith(base) && !request.url().startsWith("data:")) check(false, "no request elsewhere", request.url()); });
  await page.goto(base + path);
  return page;
}

// What a screen reader and a keyboard need, on every page.
async function usable(page, name) {
  const faults = await page.evaluate(() => {
    const faults = [], seen = (selector, test, what) => document.querySelectorAll(selector).forEach((e) => { if (!test(e)) faults.push(`${what}: ${e.outerHTML.slice(0, 120)}`); });
    if (document.querySelectorAll("h1").length !== 1) faults.push("not one h1");
    if (!document.documentElement.lang || !document.title) faults.push("no language or title");
    if (!document.querySelector("main") || !document.querySelector("nav[aria-label]")) faults.push("no landmarks");
    const levels = [...document.querySelectorAll("h1,h2,h3,h4")].map((h) => Number(h.tagName[1]));
    levels.forEach((level, i) => { if (i && level > levels[i - 1] + 1) faults.push(`a heading of level ${level} after ${levels[i - 1]}`); });
    const name = (e) => (e.getAttribute("aria-label") ?? "") + [...(e.labels ?? [])].map((l) => l.textContent).join("") + (e.textContent ?? "");
    seen("input:not([type=hidden]), select, button, a[href]", (e) => name(e).trim() !== "", "no name");
    seen("img", (e) => e.hasAttribute("alt"), "no alternative text");
    seen("thead th", (e) => e.scope === "col" && e.textContent.trim() !== "", "a heading of a column without scope or text");
    seen("[id]", (e) => document.querySelectorAll(`#${CSS.escape(e.id)}`).length === 1, "an id twice");
    if (document.documentElement.scrollWidth > innerWidth + 1) faults.push(`scrolls sideways: ${document.documentElement.scrollWidth} of ${innerWidth}`);
    return faults;
  });
  check(faults.length === 0, `${name} is usable`, faults.join(" | "));
}

const shot = async (page, name) => { if (shots) await page.screenshot({ path: join(shots, `dashboard-${name}.png`) }); };
const text = (page, selector) => page.locator(selector).first().textContent();

// ---- While a sweep runs ----
{
  const page = await open("/");
  await page.waitForFunction(() => /in training/.test(document.getElementById("now").textContent) && !/nothing/.test(document.getElementById("now").textContent));
  check((await page.locator("#training tbody tr").count()) > 0, "runs in training are listed");
  await usable(page, "the first page");
  await shot(page, "index");
  await page.context().close();
}
{
  const page = await open(`/study/${growing}?metric=loss&show=seeds`);
  // Its points get fewer now and then, when they are put together; its end only goes on.
  const until = () => page.evaluate(() => Number(document.getElementById("chart").dataset.until ?? 0));
  await page.waitForFunction(() => Number(document.getElementById("chart").dataset.until ?? 0) > 0);
  const first = await until();
  await page.waitForFunction((n) => Number(document.getElementById("chart").dataset.until) > n, first);
  check((await until()) > first, "the curve gets longer while the run is trained");
  check((await page.locator("#chart canvas").count()) === 1, "there is one chart");
  await page.locator('input[name="smooth"]').focus();
  for (let i = 0; i < 5; i += 1) await page.keyboard.press("ArrowRight");
  check((await text(page, "#choice output")) === "0.05", "smoothing by the keyboard", await text(page, "#choice output"));
  check(page.url().includes("smooth=0.05") && page.url().includes("metric=loss"), "what is chosen stands in the address", page.url());
  await page.reload();
  check((await page.locator('input[name="smooth"]').inputValue()) === "0.05", "and is chosen when it is opened again");
  await usable(page, "a study in training");
  await page.context().close();
}

// ---- A study that is done ----
{
  const page = await open("/study/tiny");
  await page.waitForSelector("#chart canvas");
  await usable(page, "a study");
  await shot(page, "study");
  await page.locator('button[data-arms="none"]').click();
  await page.waitForFunction(() => document.getElementById("chart-note").textContent.includes("No arm"));
  await page.locator('input[name="arm"]').first().focus();
  await page.keyboard.press("Space");
  await page.waitForFunction(() => Number(document.getElementById("chart").dataset.points) > 0);
  check(/arm=0/.test(page.url()), "an arm is chosen by the keyboard", page.url());
  for (const scale of ["x-scale", "y-scale"]) await page.selectOption(`select[name="${scale}"]`, "log");
  await page.selectOption('select[name="metric"]', "loss");
  await page.waitForFunction(() => /loss of every step/.test(document.getElementById("chart").getAttribute("aria-label")));
  check((await page.locator("#sensitivity-chart canvas").count()) === 1, "the metric is drawn against the axis");
  const key = (await page.locator("#sensitivity-chart .u-legend .u-series:visible").allTextContents()).map((item) => item.trim());
  check(key.join() === "optimizer=sgd,optimizer=adam", "its key names the other axes", key.join());
  await page.context().close();
}
for (const [name, options] of [["dark", { colorScheme: "dark" }], ["phone", { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2 }]]) {
  const page = await open("/study/tiny", options);
  await page.waitForSelector("#chart canvas");
  await usable(page, `a study, ${name}`);
  const ground = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  check((name === "dark") === (ground !== "rgb(255, 255, 255)"), `the ground is right, ${name}`, ground);
  await shot(page, name);
  await page.context().close();
}

// ---- Runs: filter, order, one run, by the keyboard alone ----
{
  const page = await open("/runs");
  await usable(page, "runs");
  const all = await page.locator("#runs tbody tr").count();
  await page.keyboard.press("Tab");
  check((await page.evaluate(() => document.activeElement.className)) === "skip", "the first stop skips to the content");
  await page.locator("#filter").focus();
  await page.keyboard.type("study=tiny and outcome=completed");
  await page.keyboard.press("Enter");
  await page.waitForURL(/filter=/);
  const some = await page.locator("#runs tbody tr").count();
  check(some > 0 && some < all, "the filter narrows", `${some} of ${all}`);
  await page.getByRole("link", { name: "validation accuracy" }).click();
  await page.waitForURL(/sort=validation_accuracy/);
  const column = () => page.locator("#runs tbody tr td:nth-child(9)").allTextContents();
  const up = (await column()).map(Number);
  check(up.every((y, i) => i === 0 || y >= up[i - 1]), "sorted upwards", up.join(" "));
  check((await page.locator('th[aria-sort="ascending"]').count()) === 1, "the order is announced");
  check((await page.locator("#filter").inputValue()) === "study=tiny and outcome=completed", "the filter stays");
  await page.locator("#filter").fill("lr<<1");
  await page.keyboard.press("Enter");
  await page.waitForSelector('[role="alert"]');
  check(true, "a wrong filter is explained");
  await page.goto(`${base}/runs?filter=study%3Dtiny`);
  await page.locator("#runs tbody a").first().focus();
  await page.keyboard.press("Enter");
  await page.waitForSelector("#chart canvas");
  for (const heading of ["Curves", "Evaluations", "Configuration", "Environment", "Network", "Diagnosis"]) {
    check((await page.getByRole("heading", { name: heading, exact: true }).count()) === 1, `a run has ${heading}`);
  }
  await usable(page, "a run");
  await shot(page, "run");
  await page.context().close();
}

// ---- Names of somebody else ----
{
  const page = await open("/runs");
  check((await page.locator("#runs").textContent()).includes(hostile), "a hostile name shows as text");
  await page.goto(`${base}/study/${encodeURIComponent(hostile)}`);
  check((await text(page, "h1")) === hostile, "and is the title of its page", await text(page, "h1"));
  await page.waitForSelector("#chart");
  await usable(page, "a hostile study");
  check((await page.locator("main img").count()) === 0, "no element came of it");
  await page.context().close();
}

await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
