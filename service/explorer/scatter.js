// Draw many points with WebGL, or on a canvas without it: pan, zoom, rotate, pick, lasso.

import { clamp, h, pointed } from "./dom.js";

const VERTEX = `
attribute vec3 position; attribute vec4 color; attribute float grow;
uniform mat4 view; uniform float size; varying vec4 tint;
void main() { gl_Position = view * vec4(position, 1.0); gl_PointSize = size * grow; tint = color; }`;
const FRAGMENT = `
precision mediump float; varying vec4 tint;
void main() {
  float far = length(gl_PointCoord - 0.5);
  if (far > 0.5) discard;
  gl_FragColor = vec4(tint.rgb, tint.a * smoothstep(0.5, 0.42, far));
}`;
const REACH_PX = 12;

/** A scatter plot on a canvas; coordinates of any scale, two or three per point. */
export class Scatter {
  /**
   * @param {HTMLElement} host filled by the plot
   * @param {{hover: function, pick: function, select: function}} listener index or null, index, indices
   */
  constructor(host, listener) {
    this.host = host;
    this.listener = listener;
    this.canvas = h("canvas", { aria: { hidden: "true" } });
    this.over = h("canvas", { tabIndex: 0, role: "application",
      aria: { label: "Map: drag to move, wheel to zoom, Shift and drag to select" } });
    host.append(this.canvas, this.over);
    this.gl = this.canvas.getContext("webgl", { antialias: true, alpha: true, preserveDrawingBuffer: true });
    this.pen = this.gl ? null : this.canvas.getContext("2d");
    if (this.gl) this.prepare();
    this.count = 0;
    this.reset();
    this.listen();
    this.resizing = new ResizeObserver(() => this.draw());
    this.resizing.observe(host);
  }

  /** Whether WebGL draws. */
  get accelerated() { return this.gl !== null; }

  /** Show these points. @param {number[][]} points @param {string[]} colors "#rrggbb" of each */
  show(points, colors) {
    this.dims = points[0]?.length ?? 2;
    this.count = points.length;
    const [low, high] = [0, 1].map((end) => Array.from({ length: 3 }, (_, axis) =>
      points.reduce((best, point) => Math[end ? "max" : "min"](best, point[axis] ?? 0), end ? -Infinity : Infinity)));
    const middle = low.map((value, axis) => (value + high[axis]) / 2);
    const scale = 0.9 / Math.max(...low.map((value, axis) => (high[axis] - value) / 2), 1e-9);
    this.fit = (point) => middle.map((value, axis) => ((point[axis] ?? 0) - value) * scale);
    this.positions = new Float32Array(points.flatMap((point) => this.fit(point)));
    this.grow = new Float32Array(this.count).fill(1);
    this.paint(colors);
    this.mark(null);
    this.reset();
    this.draw();
  }

  /** Other colors for the same points. */
  paint(colors) {
    this.css = colors;
    this.colors = new Uint8Array(4 * this.count);
    colors.forEach((color, index) => {
      const value = parseInt(color.slice(1), 16);
      this.colors.set([value >> 16, (value >> 8) & 255, value & 255, 215], 4 * index);
    });
    this.draw();
  }

  /** Mark a position that is no point of the map; null = none. */
  mark(point) { this.marked = point && this.fit(point); this.draw(); }

  /** Make these points larger than the others. */
  emphasize(indices) {
    this.grow?.fill(1);
    for (const index of indices) this.grow[index] = 1.9;
    this.draw();
  }

  /** Back to where everything is in sight. */
  reset() { this.zoom = 1; this.shift = [0, 0]; this.rotation = [0.5, -0.4]; }

  /** Let go of everything. */
  close() {
    this.resizing.disconnect();
    this.gl?.getExtension("WEBGL_lose_context")?.loseContext();
    this.host.replaceChildren();
  }

  // ---- drawing ----

  prepare() {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    gl.enable(gl.BLEND);
    gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this.program = program;
    this.buffers = { position: gl.createBuffer(), color: gl.createBuffer(), grow: gl.createBuffer() };
  }

  /** Column by column, as WebGL wants it: rotate, zoom, shift, keep round what is round. */
  matrix() {
    const { clientWidth: width, clientHeight: height } = this.host;
    const short = Math.min(width, height) || 1;
    const [x, y] = [(this.zoom * short) / (width || 1), (this.zoom * short) / (height || 1)];
    const [a, b] = this.dims === 3 ? this.rotation : [0, 0];
    const [ca, sa, cb, sb] = [Math.cos(a), Math.sin(a), Math.cos(b), Math.sin(b)];
    return new Float32Array([
      x * ca, y * sb * sa, -0.4 * cb * sa, 0,
      0, y * cb, 0.4 * sb, 0,
      x * sa, -y * sb * ca, 0.4 * cb * ca, 0,
      this.shift[0], this.shift[1], 0, 1,
    ]);
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.paintNow());
  }

  paintNow() {
    const ratio = devicePixelRatio || 1;
    const [width, height] = [this.host.clientWidth * ratio, this.host.clientHeight * ratio].map(Math.round);
    for (const each of [this.canvas, this.over]) {
      if (each.width !== width || each.height !== height) { each.width = width; each.height = height; }
    }
    this.radius = ratio * Math.min(9, Math.max(2.2, 110 / Math.sqrt(this.count || 1))) * Math.sqrt(this.zoom);
    if (this.gl) this.paintGl(width, height); else this.paintCanvas(width, height);
    this.paintOver(ratio);
  }

  paintGl(width, height) {
    const { gl, program } = this;
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    if (!this.count) return;
    const feed = (name, values, size, type, normalized) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
      gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
      const location = gl.getAttribLocation(program, name);
      gl.enableVertexAttribArray(location);
      gl.vertexAttribPointer(location, size, type, normalized, 0, 0);
    };
    feed("position", this.positions, 3, gl.FLOAT, false);
    feed("color", this.colors, 4, gl.UNSIGNED_BYTE, true);
    feed("grow", this.grow, 1, gl.FLOAT, false);
    gl.uniformMatrix4fv(gl.getUniformLocation(program, "view"), false, this.matrix());
    gl.uniform1f(gl.getUniformLocation(program, "size"), 2 * this.radius);
    gl.drawArrays(gl.POINTS, 0, this.count);
  }

  paintCanvas(width, height) {
    this.pen.clearRect(0, 0, width, height);
    for (let index = 0; index < this.count; index += 1) {
      const [x, y] = this.onScreen(index);
      const radius = this.radius * this.grow[index];
      this.pen.fillStyle = this.css[index];
      this.pen.fillRect(x * width - radius, y * height - radius, 2 * radius, 2 * radius);
    }
  }

  paintOver(ratio) {
    const pen = this.over.getContext("2d");
    const { width, height } = this.over;
    pen.clearRect(0, 0, width, height);
    const ink = getComputedStyle(this.host).getPropertyValue("--ink");
    pen.strokeStyle = ink;
    pen.lineWidth = 2 * ratio;
    if (this.lasso?.length > 1) {
      pen.beginPath();
      for (const [x, y] of this.lasso) pen.lineTo(x * width, y * height);
      pen.closePath();
      pen.stroke();
    }
    if (this.marked) {
      const [x, y] = this.project(this.marked);
      pen.beginPath();
      pen.moveTo(x * width - 12 * ratio, y * height); pen.lineTo(x * width + 12 * ratio, y * height);
      pen.moveTo(x * width, y * height - 12 * ratio); pen.lineTo(x * width, y * height + 12 * ratio);
      pen.stroke();
    }
  }

  /** Where a point is on the screen, 0..1 from the top left. */
  onScreen(index) { return this.project(this.positions.subarray(3 * index, 3 * index + 3)); }

  project([x, y, z]) {
    const m = this.matrix();
    return [(1 + m[0] * x + m[4] * y + m[8] * z + m[12]) / 2, (1 - (m[1] * x + m[5] * y + m[9] * z + m[13])) / 2];
  }

  // ---- pointing ----

  listen() {
    const { over } = this;
    const at = (event) => pointed(event, over);
    let last = null;
    let moved = 0;
    over.addEventListener("pointerdown", (event) => {
      over.setPointerCapture(event.pointerId);
      last = at(event);
      moved = 0;
      if (event.shiftKey && this.dims === 2) this.lasso = [last];
    });
    over.addEventListener("pointermove", (event) => {
      const now = at(event);
      if (!last) { this.listener.hover(this.nearest(now), now); return; }
      const [dx, dy] = [now[0] - last[0], now[1] - last[1]];
      moved += Math.abs(dx) + Math.abs(dy);
      last = now;
      if (this.lasso) this.lasso.push(now);
      else if (this.dims === 3 && !event.altKey) this.rotation = [this.rotation[0] - 4 * dx, this.rotation[1] + 4 * dy];
      else this.shift = [this.shift[0] + 2 * dx, this.shift[1] - 2 * dy];
      this.draw();
    });
    over.addEventListener("pointerup", (event) => {
      if (this.lasso) this.listener.select(this.inside(this.lasso));
      else if (moved < 0.01) this.listener.pick(this.nearest(at(event)));
      this.lasso = null;
      last = null;
      this.draw();
    });
    over.addEventListener("pointerleave", () => { if (!last) this.listener.hover(null); });
    over.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoomTo(Math.exp(-event.deltaY / 400), at(event));
    }, { passive: false });
    over.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const step = { ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[event.key];
    if (step) this.shift = [this.shift[0] + step[0], this.shift[1] + step[1]];
    else if (event.key === "+") this.zoomTo(1.25, [0.5, 0.5]);
    else if (event.key === "-") this.zoomTo(0.8, [0.5, 0.5]);
    else if (event.key === "0") this.reset();
    else return;
    event.preventDefault();
    this.draw();
  }

  zoomTo(factor, [x, y]) {
    const zoom = clamp(this.zoom * factor, 0.3, 200);
    const real = zoom / this.zoom;
    const [px, py] = [2 * x - 1, 1 - 2 * y];
    this.shift = [px + (this.shift[0] - px) * real, py + (this.shift[1] - py) * real];
    this.zoom = zoom;
    this.draw();
  }

  /** The point under the pointer, or null. */
  nearest([x, y]) {
    const { clientWidth: width, clientHeight: height } = this.host;
    let [best, least] = [null, REACH_PX ** 2];
    const m = this.matrix();
    for (let index = 0; index < this.count; index += 1) {
      const [a, b, c] = [this.positions[3 * index], this.positions[3 * index + 1], this.positions[3 * index + 2]];
      const px = (1 + m[0] * a + m[4] * b + m[8] * c + m[12]) / 2;
      const py = (1 - (m[1] * a + m[5] * b + m[9] * c + m[13])) / 2;
      const far = ((px - x) * width) ** 2 + ((py - y) * height) ** 2;
      if (far < least) [best, least] = [index, far];
    }
    return best;
  }

  /** Points within a closed line: crossings of a ray are odd. */
  inside(line) {
    const found = [];
    for (let index = 0; index < this.count; index += 1) {
      const [x, y] = this.onScreen(index);
      let odd = false;
      for (let i = 0, j = line.length - 1; i < line.length; j = i, i += 1) {
        const [[x1, y1], [x2, y2]] = [line[i], line[j]];
        if ((y1 > y) !== (y2 > y) && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) odd = !odd;
      }
      if (odd) found.push(index);
    }
    return found;
  }
}
