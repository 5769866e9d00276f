// What mouse and fingers do on the 3D view, of every page.

// Pointers: one turns or, with shift or another button, moves; two fingers move and zoom.

const fingers = new Map();

function onStage(event) {
  const box = by("view").getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

by("view").addEventListener("pointerdown", (event) => {
  by("view").setPointerCapture(event.pointerId);
  by("view").focus({ preventScroll: true, focusVisible: false });
  fingers.set(event.pointerId, onStage(event));
  Object.assign(pointer, onStage(event), { inside: true, touch: event.pointerType === "touch" });
  by("view").classList.add("turning");
  dirty = true;
});
by("view").addEventListener("pointermove", (event) => {
  const now = onStage(event), old = fingers.get(event.pointerId);
  dirty = true;
  if (event.pointerType !== "touch" || !old) Object.assign(pointer, now, { inside: event.pointerType !== "touch", touch: false });
  if (!old) return;
  const [dx, dy] = [now.x - old.x, now.y - old.y];
  if (fingers.size >= 2) {
    const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
    view.zoom(Math.hypot(old.x - other.x, old.y - other.y) / Math.max(1, Math.hypot(now.x - other.x, now.y - other.y)));
    view.move(dx / 2, dy / 2);
  } else if (event.shiftKey || event.buttons & 6) {
    view.move(dx, dy);
  } else {
    view.orbit(dx * 0.008, dy * 0.008);
  }
  fingers.set(event.pointerId, now);
  if (event.pointerType === "touch" && Math.hypot(now.x - pointer.x, now.y - pointer.y) > 12) pointer.inside = false;
});
for (const name of ["pointerup", "pointercancel"]) {
  by("view").addEventListener(name, (event) => {
    fingers.delete(event.pointerId);
    if (!fingers.size) by("view").classList.remove("turning");
  });
}
by("view").addEventListener("pointerleave", (event) => {
  if (event.pointerType !== "touch") pointer.inside = false;
  dirty = true;
});
by("view").addEventListener("wheel", (event) => {
  event.preventDefault();
  view.zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * (event.deltaMode ? 0.03 : 0.0022)));
  dirty = true;
}, { passive: false });
by("view").addEventListener("dblclick", () => look("free"));
by("view").addEventListener("contextmenu", (event) => event.preventDefault());
