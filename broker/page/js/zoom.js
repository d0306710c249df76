// Lets a person move about in an SVG: wheel, pinch, drag, keys and buttons change its viewBox.

/**
 * Returns what moves the window of an svg element. `state.box` is [x, y, width, height], or null for the whole;
 * `whole` returns the window that shows everything.
 */
export function zoomable(svg, state, whole) {
  const pointers = new Map();
  let [moved, distance] = [0, 0];
  const box = () => state.box ?? whole();
  const show = (next) => {
    state.box = next;
    svg.setAttribute("viewBox", box().map((number) => Math.round(number * 10) / 10).join(" "));
  };
  const scale = () => svg.getScreenCTM().a;
  const at = (x, y) => {
    const { a, d, e, f } = svg.getScreenCTM();
    return [(x - e) / a, (y - f) / d];
  };
  /** Zooms by a factor around a point of the picture; returns false where there is nothing more to see. */
  const zoom = (factor, [px, py] = middle()) => {
    const [x, y, width, height] = box();
    const full = whole();
    if (width / factor > full[2] * 1.05) {
      const was = state.box;
      show(null);
      return Boolean(was);
    }
    if (width / factor < 120) return true;
    show([px - (px - x) / factor, py - (py - y) / factor, width / factor, height / factor]);
    return true;
  };
  const middle = () => {
    const [x, y, width, height] = box();
    return [x + width / 2, y + height / 2];
  };
  const pan = (dx, dy) => {
    const [x, y, width, height] = box();
    show([x + dx, y + dy, width, height]);
  };
  const spread = () => {
    const [a, b] = [...pointers.values()];
    return [Math.hypot(a[0] - b[0], a[1] - b[1]), [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]];
  };
  svg.onwheel = (event) => {
    // At the end of zooming out the page scrolls on.
    const pixels = event.deltaY * (event.deltaMode ? 16 : 1);
    if (zoom(Math.exp(-Math.max(-200, Math.min(200, pixels)) / (event.ctrlKey ? 100 : 400)), at(event.clientX, event.clientY))) event.preventDefault();
  };
  svg.onpointerdown = (event) => {
    if (event.button > 0) return;
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    moved = 0;
    if (pointers.size === 2) [distance] = spread();
  };
  svg.onpointermove = (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const now = [event.clientX, event.clientY];
    moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
    // A press that hardly moves is a click on what is below it.
    if (moved < 5) return;
    if (!svg.hasPointerCapture(event.pointerId)) svg.setPointerCapture(event.pointerId);
    svg.classList.add("dragged");
    pointers.set(event.pointerId, now);
    if (pointers.size === 2) {
      const [apart, centre] = spread();
      zoom(apart / (distance || apart), at(...centre));
      distance = apart;
    } else pan((before[0] - now[0]) / scale(), (before[1] - now[1]) / scale());
  };
  svg.onpointerup = svg.onpointercancel = (event) => {
    pointers.delete(event.pointerId);
    svg.classList.remove("dragged");
  };
  svg.onpointerleave = (event) => !svg.hasPointerCapture(event.pointerId) && pointers.delete(event.pointerId);
  svg.ondragstart = (event) => event.preventDefault();
  svg.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = box()[2] / 10;
    const keys = { "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), 0: () => show(null), ArrowLeft: () => pan(-step, 0), ArrowRight: () => pan(step, 0), ArrowUp: () => pan(0, -step), ArrowDown: () => pan(0, step) };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  };
  /** Moves the window so that a place of the picture is in it. */
  const reveal = (left, top, right, bottom) => {
    const [x, y, width, height] = box();
    const need = (from, to, start, size) => (from < start ? from - start - 20 : to > start + size ? to - start - size + 20 : 0);
    const [dx, dy] = [need(left, right, x, width), need(top, bottom, y, height)];
    if (state.box && (dx || dy)) pan(dx, dy);
  };
  return { zoom, fit: () => show(null), reveal };
}
