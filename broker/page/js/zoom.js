// Lets a person move about in a picture that may be larger than its frame: the frame scrolls, and wheel, pinch, drag, keys and
// buttons change the size of the picture.

const LARGEST = 4;

/**
 * Lets the size of an svg element in its scrolling parent be changed. `state.scale` is the scale that a person has chosen,
 * or null; `sizes` returns {size: [width, height] of the picture, fit: the scale at which all of it is seen, scale: the present
 * one}; `fit` is called to show all of it. Returns the function that zooms by a factor around a point of the window.
 */
export function zoomable(svg, state, sizes, fit) {
  const frame = svg.parentNode;
  const middle = () => {
    const { left, top, width, height } = frame.getBoundingClientRect();
    return [left + width / 2, top + height / 2];
  };
  const zoom = (factor, [x, y] = middle()) => {
    const { size, fit, scale } = sizes();
    const before = svg.getBoundingClientRect();
    state.scale = Math.max(Math.min(fit, 1), Math.min(LARGEST, scale * factor));
    ["width", "height"].forEach((side, at) => svg.style.setProperty(side, `${size[at] * state.scale}px`));
    const after = svg.getBoundingClientRect();
    frame.scrollLeft += after.left + ((x - before.left) / before.width) * after.width - x;
    frame.scrollTop += after.top + ((y - before.top) / before.height) * after.height - y;
  };
  svg.onwheel = (event) => {
    // Without the key the frame scrolls; touch pads say so when fingers are spread.
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoom(Math.exp(-Math.max(-50, Math.min(50, event.deltaY * (event.deltaMode ? 16 : 1))) / 100), [event.clientX, event.clientY]);
  };
  drag(svg, frame);
  pinch(svg, zoom);
  svg.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const keys = { "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), 0: fit };
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  };
  return zoom;
}

// Fingers scroll without help.
function drag(svg, frame) {
  let last = null;
  let moved = 0;
  svg.onpointerdown = ({ button, pointerType, clientX, clientY }) => {
    if (button === 0 && pointerType !== "touch") [last, moved] = [[clientX, clientY], 0];
  };
  svg.onpointermove = ({ clientX, clientY, pointerId }) => {
    if (!last) return;
    const [dx, dy] = [last[0] - clientX, last[1] - clientY];
    moved += Math.hypot(dx, dy);
    // A press that hardly moves is a click on what is below it.
    if (moved < 5) return;
    if (!svg.hasPointerCapture(pointerId)) svg.setPointerCapture(pointerId);
    svg.classList.add("dragged");
    last = [clientX, clientY];
    frame.scrollBy(dx, dy);
  };
  svg.onpointerup = svg.onpointercancel = () => {
    last = null;
    svg.classList.remove("dragged");
  };
  svg.onpointerleave = ({ pointerId }) => !svg.hasPointerCapture(pointerId) && (last = null);
  svg.ondragstart = (event) => event.preventDefault();
}

function pinch(svg, zoom) {
  let distance = 0;
  svg.ontouchstart = svg.ontouchmove = (event) => {
    if (event.touches.length !== 2) return;
    event.preventDefault();
    const [a, b] = event.touches;
    const apart = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
    if (event.type === "touchmove" && distance) zoom(apart / distance, [(a.clientX + b.clientX) / 2, (a.clientY + b.clientY) / 2]);
    distance = apart;
  };
}
