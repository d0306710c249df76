// How numbers, sizes, rates and times are written.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const hour = new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "2-digit", minute: "2-digit" });
const sortable = new Intl.DateTimeFormat("sv", { dateStyle: "short", timeStyle: "medium" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

/** 12,345; an en dash for what is not known. */
export function count(number) {
  return Number.isFinite(number) ? whole.format(number) : "–";
}

/** 1.2 k, 3.4 M: for the axes of charts. */
export function brief(number, writer = short) {
  for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (Math.abs(number) >= size) return `${writer.format(number / size)} ${unit}`;
  }
  return writer.format(number);
}

/** 1.5/s; less than 10 with a decimal. */
export function rate(number) {
  if (!Number.isFinite(number)) return "–";
  return `${Math.abs(number) < 10 ? short.format(number) : whole.format(number)}/s`;
}

/** 1.5 MiB. */
export function bytes(number) {
  if (!Number.isFinite(number)) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (Math.abs(number) >= 1024 && unit < units.length - 1) [number, unit] = [number / 1024, unit + 1];
  return `${unit ? short.format(number) : whole.format(number)} ${units[unit]}`;
}

/** 1.5 MiB/s. */
export function byteRate(number) {
  return Number.isFinite(number) ? `${bytes(number)}/s` : "–";
}

/** 42 %. */
export function percent(fraction) {
  return Number.isFinite(fraction) ? `${whole.format(fraction * 100)} %` : "–";
}

/** 12 s, 5 min 3 s, 3 h 4 min, 2 d 5 h: the two largest units. */
export function duration(milliseconds) {
  if (!Number.isFinite(milliseconds)) return "–";
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = parts.findIndex(([, size]) => seconds >= size);
  if (first < 0) return milliseconds > 0 ? `${milliseconds < 10 ? short.format(milliseconds) : Math.round(milliseconds)} ms` : "0 s";
  const [unit, size] = parts[first];
  const left = parts[first + 1] && Math.floor((seconds % size) / parts[first + 1][1]);
  return `${Math.floor(seconds / size)} ${unit}${left ? ` ${left} ${parts[first + 1][0]}` : ""}`;
}

/** The time of day in the reader's zone. */
export function timeOfDay(milliseconds) {
  return clock.format(milliseconds);
}

/** The time on a chart that spans so many milliseconds: with the day where there is more than one. */
export function timeWithin(span, milliseconds) {
  return (span > 12 * 36e5 ? hour : clock).format(milliseconds);
}

/** 2026-07-01 12:34:56 in the reader's zone: Swedish, but everybody can read it, and it can be sorted. */
export function local(milliseconds) {
  return sortable.format(milliseconds);
}

/** The name of the reader's zone. */
export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** The whole date in the reader's zone, for titles. */
export function absolute(milliseconds) {
  return exact.format(milliseconds);
}

/** 1 message, 2 messages. */
export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}
