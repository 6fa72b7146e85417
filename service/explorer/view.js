// What all views do alike: come and go, ask anew when what they show has changed, say what went wrong.

import { complain, say } from "./say.js";
import { setState } from "./state.js";

/** One of the views of the page. */
export class View {
  /**
   * @param {object} own what is this view's own
   * @param {string} own.title
   * @param {function(object): Node[]} own.build its elements, of the served models and methods
   * @param {function(): Array} own.wanted what it should show now, such as names of the address
   * @param {function(AbortSignal): Promise} own.load asks for that, and shows it
   * @param {function()} [own.repicture] shows another picture, where that is not among the wanted
   * @param {function()} [own.fail] takes away what was shown of what went wrong
   * @param {function()} [own.close] lets go of what it holds
   */
  constructor(own) {
    this.own = own;
    this.title = own.title;
    this.content = null;
    this.shown = null;
    this.asking = new AbortController();
  }

  /** Show the view. */
  enter(content, served) {
    this.content = content;
    content.replaceChildren(...this.own.build(served));
    this.shown = null;
    this.refresh();
  }

  /** Leave it: nobody waits for its answers. */
  leave() {
    this.content = null;
    this.asking.abort();
    this.own.close?.();
    say("");
  }

  /** Show what is wanted now, unless it is shown. */
  refresh() {
    const wanted = JSON.stringify(this.own.wanted());
    if (!this.content || wanted === this.shown) return;
    this.shown = wanted;
    this.asking.abort();
    this.asking = new AbortController();
    this.load(this.asking.signal);
  }

  /** Change the state and ask for all of it anew, once. */
  renew(changes = {}) {
    this.shown = null;
    setState(changes);
    this.refresh();
  }

  /** There is another picture. */
  repicture() {
    this.own.repicture?.();
    this.refresh();
  }

  async load(signal) {
    try {
      await this.own.load(signal);
    } catch (error) {
      if (!signal.aborted) this.own.fail?.();
      complain(error);
    }
  }
}
