// Tries a generated report page in a real browser: node try.mjs reports/index.html SCREENSHOTS
// Needs Chromium ($CHROMIUM, else /usr/bin/chromium) and the npm package playwright-core, found from the current folder or
// NODE_PATH (it is no dependency of the project: `npm install --prefix /tmp/try playwright-core`, then NODE_PATH=/tmp/try/node_modules).
// What it expects is read from the page's own data, so that it fits every database. Exits 1 if a check failed, 2 if it can't run.
import { createRequire } from "node:module";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

function giveUp(message) {
  console.error(message);
  process.exit(2);
}

const [page_, shots] = process.argv.slice(2);
if (!page_ || !shots) giveUp("usage: node try.mjs path/to/index.html folder-for-screenshots");
if (!existsSync(page_)) giveUp(`there is no file ${page_}`);
const browserPath = process.env.CHROMIUM ?? "/usr/bin/chromium";
if (!existsSync(browserPath)) giveUp(`there is no browser at ${browserPath}; set CHROMIUM`);
let chromium;
try {
  ({ chromium } = createRequire(join(process.cwd(), "x.js"))("playwright-core"));
} catch {
  giveUp("playwright-core is missing: npm install --prefix /tmp/try playwright-core, and set NODE_PATH=/tmp/try/node_modules");
}
mkdirSync(shots, { recursive: true });

const address = pathToFileURL(resolve(page_)).href;
const source = readFileSync(page_, "utf8");
let passed = 0;
let failed = 0;
function check(ok, what, detail = "") {
  if (ok) passed += 1;
  else {
    failed += 1;
    console.error(`FAILED: ${what}${detail === "" ? "" : ` (${detail})`}`);
  }
}

const flags = [
  "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync",
];
const browser = await chromium.launch({ executablePath: browserPath, headless: true, args: flags.map((flag) => `--${flag}`) });

// A page that fails the try when it complains or wants something from outside.
async function open(options, hash = "") {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  // A figure that isn't beside the page is dropped by it; the browser reports the missing file all the same.
  page.on("console", (m) => { if (!m.text().includes("ERR_FILE_NOT_FOUND")) check(false, "console is silent", m.text()); });
  page.on("pageerror", (error) => check(false, "no script error", error.stack));
  page.on("dialog", (dialog) => { check(false, "no dialog", dialog.message()); dialog.dismiss(); });
  page.on("request", (request) => {
    const url = request.url();
    const inside = url.startsWith("data:") || url.startsWith(`${pathToFileURL(dirname(resolve(page_))).href}/`);
    if (!inside) check(false, "no request outside the folder", url);
  });
  await page.goto(address + hash);
  return page;
}

const hashOf = (study) => `#/${encodeURIComponent(study.name)}`;
const wide = (page) => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
const active = (page) => page.locator(".arms li.hi").count();
const pixels = (page) => page.locator(".host canvas").evaluate((canvas) => canvas.toDataURL());

// ---- The file itself ----

const withoutData = source.replace(/<script type="application\/json"[\s\S]*?<\/script>/, "");
check(!/\b(src|href)="(https?:)?\/\//.test(withoutData), "no reference to another host");
check(source.includes("default-src 'none'"), "a content security policy stands in the page");
for (const marker of ["uplot.css", "page.css", "uplot.js", "chart.js", "page.js"]) {
  check(!withoutData.includes(`/*{${marker}}*/`), `${marker} was put in`);
}

// ---- Overview ----

const page = await open({});
const data = JSON.parse(await page.locator("#data").textContent());
const { studies } = data;
check(await page.locator("h1").innerText() === data.title, "the title is shown");
check(await page.locator(".studies li").count() === studies.length, "all studies are listed");
check(await wide(page) <= 0, "the overview fits the window");
await page.screenshot({ path: join(shots, "overview.png"), fullPage: true });

// ---- Every study, on a screen and on a phone ----

const phone = await open({ viewport: { width: 390, height: 844 }, hasTouch: true });
for (const [i, study] of studies.entries()) {
  await page.goto(address + "#/");
  await page.locator(".studies h2 a").nth(i).click();
  await page.locator("main > nav").first().waitFor();
  check(new URL(page.url()).hash === new URL(address + hashOf(study)).hash, "the address names the study", study.name);
  check(await page.locator(".table").count() === study.tables.length, "all tables are there", study.name);
  const rows = study.tables.reduce((n, table) => n + table.rows.length, 0);
  check(await page.locator(".table tbody tr").count() === rows, "all rows are there", study.name);
  check(await page.locator(".arms li").count() === (study.curves.length ? study.arms.length : 0), "all arms are listed", study.name);
  const ticked = await page.locator(".arms li input:checked").count();
  check(ticked <= 12, "at most twelve arms are drawn at first", `${study.name}: ${ticked}`);
  for (let c = 0; c < study.curves.length; c++) {
    await page.locator("#curves select").first().selectOption(String(c));
    check(await page.locator(".host canvas, .host .empty").count() === 1, "each curve is drawn, or said to be empty", `${study.name} ${c}`);
  }
  const odd = await page.evaluate(() => [...document.querySelectorAll("body *")].filter((node) =>
    [...node.attributes].some((attribute) => attribute.name.startsWith("on"))
    || ["B", "U", "IFRAME", "OBJECT", "FORM"].includes(node.tagName)
    || (node.tagName === "IMG" && !node.closest("figure"))
    || (node.tagName === "A" && !node.href.startsWith("file:"))).map((node) => node.outerHTML.slice(0, 80)));
  check(!odd.length, "nothing in the data became markup", odd.join(" "));
  check(await page.locator("script").count() === 4, "nothing in the data became a script", study.name);
  check(await wide(page) <= 0, "the study fits the window", study.name);
  await phone.goto(address + hashOf(study));
  await phone.waitForFunction((n) => document.querySelectorAll(".table").length === n, study.tables.length);
  check(await wide(phone) <= 0, "the study fits a phone", study.name);
}
await page.goto(`${address}#/no such study`);
check((await page.locator("main").innerText()).includes("no study called"), "an unknown study is said to be so");

// ---- One study, with everything ----

const lines = (study) => study.curves[0]?.lines.filter((line) => line.median.filter((v) => v !== null).length > 5).length ?? 0;
const rich = studies.filter((candidate) => lines(candidate) > 1 && candidate.tables.length);
const [study] = rich.sort((a, b) => b.arms.length - a.arms.length);
if (!study) console.log("no study has curves and a table; the rest is not tried");
else {
  await page.goto(address + "#/");
  const at = studies.indexOf(study);
  await page.locator(".studies h2 a").nth(at).click();
  await page.locator(".host").waitFor();
  check(await page.evaluate(() => document.activeElement.tagName) === "H1", "the focus goes to the new page's heading");
  await page.goBack();
  await page.locator(".studies").waitFor();
  await page.goForward();
  // The last curve was chosen above, and choices last.
  await page.locator("#curves select").first().selectOption("0");
  const over = page.locator(".host .u-over");
  await over.scrollIntoViewIfNeeded();
  await page.screenshot({ path: join(shots, "study.png"), fullPage: true });

  const box = await over.boundingBox();
  const to = (x, y) => page.mouse.move(box.x + box.width * x, box.y + box.height * y, { steps: 4 });
  let label = null;
  for (let k = 1; k < 50 && label === null; k++) {
    await to(0.3, k / 50);
    if (await page.locator(".tip").isVisible()) label = await page.locator(".tip strong").textContent();
  }
  check(study.arms.some((arm) => arm.label === label), "pointing at a curve names its arm", label);
  check(await active(page) === 1, "and marks it in the list");
  check(label === null || await page.locator(".table tr.hi").count() > 0, "and in the tables");
  await page.screenshot({ path: join(shots, "hover.png") });
  await page.mouse.down();
  await page.mouse.up();
  await to(0.5, -0.5);
  check(await active(page) === 1, "a click keeps the highlight");
  await page.keyboard.press("Escape");
  check(await active(page) === 0, "Escape clears it");

  const reset = page.getByRole("button", { name: "Reset zoom" });
  const whole = await pixels(page);
  check(await reset.isDisabled(), "there is no zoom at first");
  await to(0.3, 0.5);
  await page.mouse.down();
  await to(0.6, 0.52);
  await page.mouse.up();
  check(await reset.isEnabled() && await pixels(page) !== whole, "dragging zooms");
  await page.screenshot({ path: join(shots, "zoomed.png") });
  await over.dblclick();
  await to(0.5, -0.5);
  check(await reset.isDisabled() && await pixels(page) === whole, "a double click shows all again");
  await to(0.2, 0.2);
  await page.mouse.down();
  await to(0.6, 0.7);
  await page.mouse.up();
  check(await reset.isEnabled(), "dragging aslant zooms both ways");
  await reset.click();
  await page.locator(".host").focus();
  for (const key of ["ArrowRight", "ArrowRight", "ArrowDown"]) await page.keyboard.press(key);
  check(await page.locator(".tip").isVisible(), "arrow keys go along the curves");
  check(await page.locator("[aria-live]").textContent() !== "", "and say the values");
  await page.keyboard.press("+");
  check(await reset.isEnabled(), "plus zooms");
  await page.keyboard.press("0");
  check(await reset.isDisabled(), "0 resets the zoom");

  const logY = page.getByLabel("logarithmic y");
  check(await logY.isChecked() === study.curves[0].log, "the y axis starts as the data say");
  for (const toggle of ["logarithmic y", "logarithmic x", "quartile band"]) {
    await page.mouse.move(0, 0);
    const before = await pixels(page);
    await page.getByLabel(toggle).click();
    check(await pixels(page) !== before, `"${toggle}" changes the chart`);
    await page.getByLabel(toggle).click();
    check(await pixels(page) === before, `"${toggle}" and back`);
  }

  await page.getByRole("button", { name: "Untick all" }).click();
  check(await page.locator(".host .empty").count() === 1, "without arms there is no chart");
  await page.getByRole("button", { name: "Tick all", exact: true }).click();
  check(await page.locator(".arms li input:checked").count() === study.arms.length, "all arms can be ticked");
  await page.screenshot({ path: join(shots, "all-arms.png") });
  await page.getByLabel("Find an arm").fill(study.arms.at(-1).label);
  const found = await page.locator(".arms li:visible").count();
  check(found >= 1 && found < study.arms.length, "the search narrows the list", found);
  await page.getByLabel("Find an arm").fill("");
  if (await page.locator(".chip").count()) {
    await page.locator(".chip").first().click();
    check(await page.locator(".arms li:visible").count() < study.arms.length, "a chip narrows the list");
    await page.locator(".chip").first().click();
    check(await page.locator(".arms li:visible").count() === study.arms.length, "and widens it again");
  }
  await page.getByRole("button", { name: "Suggested" }).click();

  const table = study.tables[0];
  const first = page.locator(".table").first();
  const numeric = table.columns.findIndex((column, c) => column.numeric && new Set(table.sort.map((keys) => keys[c])).size > 2);
  if (numeric >= 0) {
    const head = first.locator("th").nth(numeric);
    const keys = table.sort.map((row) => row[numeric]), missing = keys.filter((key) => key === null).length;
    const cells = async () => (await first.locator(`tbody td:nth-child(${numeric + 1})`).allTextContents());
    const before = await cells();
    for (const [direction, sign] of [["ascending", 1], ["descending", -1]]) {
      await head.locator("button").click();
      check(await head.getAttribute("aria-sort") === direction, `a heading sorts ${direction}`);
      const order = table.rows.map((_, r) => r).filter((r) => keys[r] !== null).sort((a, b) => sign * (keys[a] - keys[b]) || a - b);
      const shown = await cells();
      const wanted = order.map((r) => table.rows[r][numeric]).join("|");
      check(shown.slice(0, shown.length - missing).join("|") === wanted, `rows stand in ${direction} order, those without a value last`);
    }
    await head.locator("button").click();
    check((await cells()).join("|") === before.join("|"), "a third click restores the report's order");
  }
  const row = page.locator("tr.linked").last();
  await row.scrollIntoViewIfNeeded();
  await row.hover();
  check(await active(page) >= 1, "pointing at a row marks its arm");
  await row.locator("button.arm").first().focus();
  await page.keyboard.press("Enter");
  await page.mouse.move(0, 0);
  check(await page.locator("tr.hi").count() >= 1, "Enter on an arm keeps it highlighted");
  check(await page.locator("tr.drawn.hi").count() >= 1, "and draws it");
  check(await page.getByRole("button", { name: "Clear highlight" }).isVisible(), "and it can be cleared");
  check(await page.locator(".preview").isVisible(), "a copy of the chart shows where the chart is out of sight");
  await page.screenshot({ path: join(shots, "row.png") });
  await page.getByLabel("only rows of the arms").check();
  const rowsShown = await page.locator("tr.linked:visible").count();
  check(rowsShown === await page.locator("tr.linked.drawn").count(), "rows can be limited to the arms drawn", rowsShown);
  await page.goBack();
  await page.locator(".studies").waitFor();
  check(await page.locator(".studies li").count() === studies.length, "back leads to the overview");

  const night = await open({ colorScheme: "dark" }, hashOf(study));
  await night.locator(".host canvas").waitFor();
  await night.screenshot({ path: join(shots, "dark.png") });
  await night.pdf({ path: join(shots, "print.pdf"), format: "A4" });

  await phone.goto(address + hashOf(study));
  await phone.locator(".host canvas").waitFor();
  await phone.screenshot({ path: join(shots, "phone.png"), fullPage: true });
  await phone.locator(".host").scrollIntoViewIfNeeded();
  const finger = await phone.locator(".host .u-over").boundingBox();
  const touch = await phone.context().newCDPSession(phone);
  const put = (type, x) => {
    const touchPoints = x === null ? [] : [{ x: finger.x + finger.width * x, y: finger.y + finger.height / 2 }];
    return touch.send("Input.dispatchTouchEvent", { type, touchPoints });
  };
  await put("touchStart", 0.2);
  for (const x of [0.25, 0.35, 0.5, 0.7]) await put("touchMove", x);
  await put("touchEnd", null);
  await phone.waitForTimeout(100);
  check(await phone.getByRole("button", { name: "Reset zoom" }).isEnabled(), "a finger drawn sideways zooms");
  await phone.screenshot({ path: join(shots, "phone-zoomed.png") });
}
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
