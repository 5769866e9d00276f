// The page of a stream: the figure of the frame that came last, upright on the floor that its feet have touched.

const by = (id) => document.getElementById(id);
const DATA = JSON.parse(by("data").textContent);
const FLOOR_SECONDS = 10; // for which the lower ankle's heights say where the floor is
const LOW_SHARE = 0.1; // of these heights are under it
const SETTLING = 0.15; // of what the floor is off, it moves in each frame
const RATE_FRAMES = 30;
const ROOM = { low: [-0.9, 0, -0.9], high: [0.9, 1.8, 0.9] }; // that is shown: somebody, with arms held out
const darkness = matchMedia("(prefers-color-scheme: dark)");
const view = new View(by("view"));
const state = { follow: true, truth: false, uncertainty: false, trail: false, theme: null, figure: null, joint: -1, ended: false, frame: -1 };
const pointer = { x: -1, y: -1, inside: false };
let palette = null, dirty = true, floor = null;
const lows = []; // [seconds, height] of the lower ankle
const arrivals = [];

const count = DATA.skeleton.names.length;
const points = { ...DATA.skeleton, count, positions: new Float32Array(3 * count), error: new Float32Array(count) };
const motion = {
  person: "0", model: "", target: null, length: 1, at: new Int32Array([-1]), keypoints: points, joints: points,
  confidence: new Uint8Array(count),
};

/** The height of the floor under the ankles, of the last seconds; y is up. */
function floorUnder(seconds, height) {
  if (lows.length && seconds < lows[lows.length - 1][0]) lows.length = 0; // anew
  lows.push([seconds, height]);
  while (lows[0][0] < seconds - FLOOR_SECONDS || lows.length > 2000) lows.shift();
  const heights = lows.map(([, low]) => low).sort((a, b) => a - b);
  const lowest = heights[Math.floor(LOW_SHARE * heights.length)] - DATA.sole;
  return floor === null ? lowest : floor + SETTLING * (lowest - floor);
}

function show(line) {
  state.frame = line.frame;
  by("frame").textContent = `Frame ${line.frame}`;
  by("clock").textContent = `${line.time.toFixed(2)} s`;
  arrivals.push(performance.now());
  if (arrivals.length > RATE_FRAMES) arrivals.shift();
  const seconds = (arrivals[arrivals.length - 1] - arrivals[0]) / 1000;
  by("rate").textContent = arrivals.length > 5 ? `${((arrivals.length - 1) / seconds).toFixed(0)} a second` : "";
  say(line.bad ?? (line.joints ? "" : "Nobody is seen."));
  motion.confidence.fill(line.joints ? 255 : 0); // else the figure of before, faint
  if (line.joints) {
    const upright = line.joints.map(([x, y, z]) => [x, -y, -z]);
    floor = floorUnder(line.time, Math.min(...DATA.ankles.map((ankle) => upright[ankle][1])));
    upright.forEach(([x, y, z], joint) => points.positions.set([x, y - floor, z], 3 * joint));
    points.error.set(line.joint_error);
    motion.at[0] = 0;
    by("notice").hidden = true;
  }
  dirty = true;
}

function say(text) {
  if (by("reading").textContent !== text) by("reading").textContent = text;
}

function look(preset) {
  view.bounds = ROOM;
  view.look(preset, false);
  dirty = true;
}

function chooseTheme(theme) {
  state.theme = theme;
  document.documentElement.dataset.theme = theme ?? (darkness.matches ? "dark" : "light");
  palette = paletteOf(DATA.colors);
  resize();
}

function resize() {
  view.resize(Math.min(devicePixelRatio || 1, 2));
  dirty = true;
}

function tick() {
  if (dirty) {
    dirty = false;
    view.draw(0, palette, state);
  }
  requestAnimationFrame(tick);
}

function toggleUncertainty() {
  state.uncertainty = !state.uncertainty;
  by("uncertainty").setAttribute("aria-pressed", state.uncertainty);
  dirty = true;
}

function toggleTheme() {
  chooseTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
}

// Buttons and keys

const ACTIONS = new Map([
  ["1", () => look("front")], ["2", () => look("side")], ["3", () => look("top")], ["4", () => look("free")],
  ["u", toggleUncertainty], ["b", toggleTheme],
  ["a", () => view.orbit(0.09, 0)], ["d", () => view.orbit(-0.09, 0)],
  ["w", () => view.orbit(0, 0.09)], ["s", () => view.orbit(0, -0.09)],
  ["+", () => view.zoom(0.9)], ["=", () => view.zoom(0.9)], ["-", () => view.zoom(1 / 0.9)],
]);
document.addEventListener("keydown", (event) => {
  const action = ACTIONS.get(event.key.toLowerCase());
  if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  action();
  dirty = true;
});
for (const button of document.querySelectorAll("[data-preset]")) button.addEventListener("click", () => look(button.dataset.preset));
by("uncertainty").addEventListener("click", toggleUncertainty);
by("theme").addEventListener("click", toggleTheme);
darkness.addEventListener("change", () => chooseTheme(state.theme));
new ResizeObserver(resize).observe(by("stage"));

// The start

document.documentElement.style.setProperty("--left", DATA.colors[0]);
document.documentElement.style.setProperty("--right", DATA.colors[1]);
chooseTheme(null);
view.show(figuresOf({ motions: [motion] }, null, null, "joints"), false);
look("free");
tick();

const lines = new EventSource("lines");
lines.addEventListener("message", ({ data }) => {
  const line = JSON.parse(data);
  if (line.frame !== undefined) show(line); // the first is about all of them
});
lines.addEventListener("open", () => say(""));
lines.addEventListener("error", () => say("The stream is gone; waiting for it."));
lines.addEventListener("end", () => {
  lines.close();
  state.ended = true;
  if (motion.at[0] < 0) by("notice").textContent = "The stream ended before it showed anybody.";
  say("The stream has ended.");
});
window.viewer = { state, view, points }; // to look at from outside
