"use strict";
(function () {
  const holder = document.getElementById("whatif-data");
  if (!holder) return;
  const { data, words } = JSON.parse(holder.textContent);
  const at = (id) => document.getElementById(id);
  const n = data.draws;

  // The draws: four bytes a number, column after column.
  const packed = Uint8Array.from(atob(data.packed), (c) => c.charCodeAt(0));
  const numbers = new Float32Array(packed.buffer);
  const column = {};
  data.columns.forEach((name, k) => { column[name] = numbers.subarray(k * n, (k + 1) * n); });

  // Numbers as the rest of the report writes them.
  const MINUS = "\u2212";
  function fixed(size, digits) {
    const [whole, part] = size.toFixed(digits).split(".");
    const grouped = whole.replace(/\B(?=(\d{3})+(?!\d))/g, words.thousands);
    return part ? grouped + words.decimal + part : grouped;
  }
  function signed(value, digits) {
    const text = fixed(Math.abs(value), digits);
    return value < 0 && /[1-9]/.test(text) ? MINUS + text : text;
  }
  function decimals(size) {
    if (size >= 99.95) return 0;
    if (size >= 9.995) return 1;
    if (size === 0) return 2;
    return Math.min(Math.max(2, 1 - Math.floor(Math.log10(size * 1.005))), 6);
  }
  const number = (value) => signed(value, decimals(Math.abs(value)));
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
  function spanDecimals(low, high) {
    const sizes = [Math.abs(low), Math.abs(high)], digits = decimals(Math.max(...sizes));
    const least = Math.min(...sizes.filter((size) => size > 0), 1);
    const more = [0, 1, 2].find((extra) => digits > 1 && least * 10 ** (digits + extra) >= 0.5);
    return digits + (more || 0);
  }
  const estimate = (value, low, high) => signed(value, spanDecimals(low, high));
  function bracket(low, high) {
    const digits = spanDecimals(low, high);
    return fill(words.bracket, { low: signed(low, digits), high: signed(high, digits) });
  }
  const percent = (value, digits) => fill(words.percent, { value: signed(100 * value, digits) });
  function money(value) {
    let size = Number(Math.abs(value).toPrecision(3));
    let unit = "";
    if (size >= 1e9) { size /= 1e9; unit = words.billion; } else if (size >= 1e6) { size /= 1e6; unit = words.million; }
    const text = fixed(size, size > 0 && size < 100 ? 2 : 0);
    return fill(words.money, { sign: value < 0 ? MINUS : "", value: unit ? fill(unit, { value: text }) : text });
  }

  // The chain, draw by draw: causes come before effects in data.today.
  function response(bend, x) {
    const place = Math.min(Math.max(x, bend.low), bend.high);
    const far = place - bend.middle;
    if ("square" in bend) return bend.slope * far + bend.square * far * far;
    const height = (value) => (value < bend.point ? bend.below : bend.above) * (value - bend.point);
    return height(place) - height(bend.middle);
  }
  function follow(by) {
    const moved = {};
    for (const node of data.today) moved[node.name] = new Float64Array(n).fill(by[node.name] || 0);
    for (const node of data.today) {
      const own = moved[node.name];
      for (const link of data.links) {
        if (link.effect !== node.name) continue;
        const slope = column[link.effect + "~" + link.cause], cause = moved[link.cause], bend = link.bend;
        for (let i = 0; i < n; i += 1) {
          own[i] += bend
            ? response(bend, bend.middle + cause[i]) * (bend.straight ? slope[i] / bend.straight : 1)
            : slope[i] * cause[i];
        }
      }
    }
    return moved;
  }

  // Share of customers still there after period t when their log odds of staying move.
  function staying(t, i, shift) {
    const u = Math.min(Math.max(shift / column.reach[i], -1), 1);
    let height = 0;
    for (let k = data.degree; k >= 0; k -= 1) height = height * u + stay[t][k][i];
    return Math.pow(1 / (1 + Math.exp(-height)), t + 1);
  }
  const stay = [];
  const before = [];
  if (data.money) {
    for (let t = 0; t < data.periods; t += 1) {
      stay.push([]);
      for (let k = 0; k <= data.degree; k += 1) stay[t].push(column["stay_" + (t + 1) + "_" + k]);
      before.push(Float64Array.from({ length: n }, (_, i) => staying(t, i, 0)));
    }
  }
  function earned(change) {
    const more = [];
    const extra = column.margin_slope;
    for (let t = 0; t < data.periods; t += 1) {
      const row = new Float64Array(n);
      for (let i = 0; i < n; i += 1) {
        const after = staying(t, i, column.retention[i] * change[i]);
        row[i] = data.present * (column.margin[i] * (after - before[t][i]) + (extra ? extra[i] * change[i] * after : 0));
      }
      more.push(row);
    }
    return more;
  }

  const NOTHING = { mean: 0, low: 0, high: 0, middle: 0 };
  function summary(values) {
    let sum = 0;
    for (let i = 0; i < n; i += 1) sum += values[i];
    const sorted = Float64Array.from(values).sort();
    const cut = (share) => {
      const place = (n - 1) * share, low = Math.floor(place), high = Math.min(low + 1, n - 1);
      return sorted[low] + (sorted[high] - sorted[low]) * (place - low);
    };
    const tail = 0.5 - data.level / 2;
    return { mean: sum / n, low: cut(tail), high: cut(1 - tail), middle: cut(0.5) };
  }

  function value(more, once, each) {
    const running = new Float64Array(n), back = new Float64Array(n).fill(NaN), gain = new Float64Array(n);
    let spent = 0;
    for (let t = 0; t < data.periods; t += 1) {
      const factor = Math.pow(1 + data.discount, -(t + 1)), cost = each + (t === 0 ? once : 0);
      spent += cost * factor;
      for (let i = 0; i < n; i += 1) {
        gain[i] += more[t][i] * factor;
        running[i] += (more[t][i] - cost) * factor;
        if (running[i] < 0) back[i] = NaN; else if (Number.isNaN(back[i])) back[i] = t + 1;
      }
    }
    const paid = back.filter((period) => !Number.isNaN(period)).sort();
    const half = paid.length >> 1;
    return {
      worth: summary(running), loss: running.filter((money) => money < 0).length / n, share: paid.length / n,
      payback: paid.length === 0 ? NaN : paid.length % 2 ? paid[half] : (paid[half - 1] + paid[half]) / 2,
      rate: spent > 0 ? summary(gain.map((money) => money / spent - 1)) : null,
    };
  }

  // The page.
  const node = {};
  data.today.forEach((found, k) => { node[found.name] = { ...found, row: at("node-" + k) }; });
  const levers = data.levers.map((lever, k) => {
    const reach = node[lever.name], slider = at("lever-" + k);
    const steps = (far) => Math.round(far / reach.step);
    slider.min = String(-steps(reach.mean - reach.low));
    slider.max = String(steps(reach.high - reach.mean));
    return { ...lever, reach, slider, said: at("lever-" + k + "-said"), usual: steps(lever.by) };
  });
  const amount = (id) => { const found = at(id); return found ? Math.max(Number(found.value) || 0, 0) : 0; };
  const by = (lever) => Number((Number(lever.slider.value) * lever.reach.step).toPrecision(12));
  const plus = (size) => (size > 0 ? "+" : "") + number(size);

  function show() {
    const pushed = {};
    for (const lever of levers) {
      const size = by(lever);
      pushed[lever.name] = size;
      const mean = number(lever.reach.mean + size);
      const text = size === 0 ? fill(words.start, { mean }) : fill(words.value, { by: plus(size), mean });
      lever.said.textContent = text;
      lever.slider.setAttribute("aria-valuetext", text);
    }
    const moved = follow(pushed);
    let end = null;
    for (const found of data.today) {
      const row = node[found.name].row, cells = row.querySelectorAll("td"), still = moved[found.name].every((x) => x === 0);
      const size = still ? NOTHING : summary(moved[found.name]), middle = found.mean + size.middle;
      cells[0].textContent = still ? number(0) : estimate(size.mean, size.low, size.high);
      cells[1].textContent = still ? "" : bracket(size.low, size.high);
      cells[2].textContent = number(found.mean + size.mean);
      row.querySelector(".beyond").hidden = still || (middle <= found.high + 1e-9 && middle >= found.low - 1e-9);
      if (found.name === data.target) end = size;
    }
    say(data.money ? showMoney(earned(moved[data.target])) : fill(words.status_end, {
      value: estimate(end.mean, end.low, end.high), low: number(end.low), high: number(end.high) }));
  }
  function showMoney(more) {
    const once = amount("cost-once"), each = amount("cost-period"), found = value(more, once, each);
    const { worth } = found, span = { low: money(worth.low), high: money(worth.high) };
    at("out-profit").textContent = money(worth.mean);
    at("out-profit-span").textContent = fill(words.span, span) + (once || each ? "" : ", " + words.before_cost);
    at("out-loss").textContent = percent(found.loss, 1);
    const share = percent(found.share, 0);
    at("out-payback").textContent = !(once || each) ? "" : Number.isNaN(found.payback) ? words.payback_never
      : words.payback + " " + fill(words.payback_in, { n: String(found.payback), share });
    at("out-return").textContent = found.rate ? number(found.rate.mean) : "\u2013";
    at("out-return-span").textContent = found.rate ? bracket(found.rate.low, found.rate.high) : "";
    if (at("by-period").open) more.forEach((row, t) => {
      const size = summary(row), cells = at("period-" + t).querySelectorAll("td");
      cells[0].textContent = money(size.mean);
      cells[1].textContent = fill(words.span, { low: money(size.low), high: money(size.high) });
    });
    return fill(words.status, { value: money(worth.mean), ...span });
  }
  let pause = 0;
  function say(text) {
    clearTimeout(pause);
    pause = setTimeout(() => { at("out-status").textContent = text; }, 300);
  }
  let asked = 0;
  function soon() {
    if (!asked) asked = requestAnimationFrame(() => { asked = 0; show(); });
  }
  for (const lever of levers) lever.slider.addEventListener("input", soon);
  if (at("by-period")) at("by-period").addEventListener("toggle", soon);
  for (const id of ["cost-once", "cost-period"]) if (at(id)) at(id).addEventListener("input", soon);
  at("whatif").querySelector("form").addEventListener("submit", (event) => event.preventDefault());
  at("levers-reset").addEventListener("click", () => {
    for (const lever of levers) lever.slider.value = "0";
    show();
  });
  levers[0].slider.value = String(levers[0].usual);
  if (at("cost-once")) { at("cost-once").value = String(Math.max(levers[0].cost, 0)); }
  if (at("cost-period")) { at("cost-period").value = String(Math.max(levers[0].running, 0)); }
  at("whatif").hidden = false;
  show();
})();
