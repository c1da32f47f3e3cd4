// A long list of lines with heights: grows and shrinks at both ends, finds by index, by key and by pixel. Kept in
// pieces, so that nothing ever walks or copies all lines.
const PIECE = 512;

class Piece {
  constructor(lines) {
    this.lines = lines;
    this.height = -1; // unknown
  }
}

export class LineList {
  #pieces = [];

  constructor(heightOf) {
    this.length = 0;
    this.heightOf = heightOf;
  }

  push(line) {
    let last = this.#pieces.at(-1);
    if (!last || last.lines.length >= PIECE) {
      last = new Piece([]);
      last.height = 0;
      this.#pieces.push(last);
    }
    last.lines.push(line);
    if (last.height >= 0) last.height += this.heightOf(line);
    this.length += 1;
  }

  // At its place by key, which no other line has.
  insert(line) {
    const at = this.#pieces.findIndex((piece) => piece.lines.length && piece.lines.at(-1).key > line.key);
    if (at < 0) return this.push(line);
    const piece = this.#pieces[at];
    piece.lines.splice(piece.lines.findIndex((each) => each.key > line.key), 0, line);
    piece.height = -1;
    this.length += 1;
    if (piece.lines.length <= 2 * PIECE) return undefined;
    this.#pieces.splice(at + 1, 0, new Piece(piece.lines.splice(PIECE)));
    return undefined;
  }

  unshift(lines) {
    const pieces = [];
    for (let at = 0; at < lines.length; at += PIECE) pieces.push(new Piece(lines.slice(at, at + PIECE)));
    this.#pieces.unshift(...pieces);
    this.length += lines.length;
  }

  // Drops lines from the front; up to `count` of them, or those with a key below `key`.
  dropFront(count, key = Infinity) {
    let left = count;
    while (left > 0 && this.#pieces.length) {
      const piece = this.#pieces[0];
      const whole = piece.lines.length <= left && piece.lines.at(-1).key < key;
      if (whole) {
        this.#pieces.shift();
        left -= piece.lines.length;
        this.length -= piece.lines.length;
        continue;
      }
      let gone = 0;
      while (gone < left && gone < piece.lines.length && piece.lines[gone].key < key) gone += 1;
      piece.lines.splice(0, gone);
      piece.height = -1;
      this.length -= gone;
      break;
    }
  }

  clear() {
    this.#pieces = [];
    this.length = 0;
  }

  // Heights are to be asked anew: of all lines, or of the one at an index.
  forgetHeights(index = -1) {
    if (index < 0) {
      for (const piece of this.#pieces) piece.height = -1;
    } else {
      this.#pieces[this.#find(index)[0]].height = -1;
    }
  }

  get height() {
    let total = 0;
    for (const piece of this.#pieces) total += this.#heightOf(piece);
    return total;
  }

  at(index) {
    if (index < 0 || index >= this.length) return undefined;
    const [piece, place] = this.#find(index);
    return this.#pieces[piece].lines[place];
  }

  offsetOf(index) {
    let offset = 0;
    let left = index;
    for (const piece of this.#pieces) {
      if (left < piece.lines.length) {
        for (let i = 0; i < left; i += 1) offset += this.heightOf(piece.lines[i]);
        return offset;
      }
      left -= piece.lines.length;
      offset += this.#heightOf(piece);
    }
    return offset;
  }

  // The line at a pixel: {index, offset}; the last one for a pixel beyond the end.
  atOffset(pixel) {
    let offset = 0;
    let index = 0;
    for (const piece of this.#pieces) {
      const height = this.#heightOf(piece);
      if (pixel < offset + height) {
        let [top, place] = [offset, index];
        for (const line of piece.lines) {
          const own = this.heightOf(line);
          if (pixel < top + own) return { index: place, offset: top };
          top += own;
          place += 1;
        }
      }
      offset += height;
      index += piece.lines.length;
    }
    const last = Math.max(0, this.length - 1);
    return { index: last, offset: this.offsetOf(last) };
  }

  // The index of the first line whose key is not below `key`.
  indexOfKey(key) {
    let index = 0;
    for (const piece of this.#pieces) {
      if (piece.lines.length && piece.lines.at(-1).key >= key) {
        const place = piece.lines.findIndex((line) => line.key >= key);
        return index + place;
      }
      index += piece.lines.length;
    }
    return Math.max(0, this.length - 1);
  }

  *[Symbol.iterator]() {
    for (const piece of this.#pieces) yield* piece.lines;
  }

  slice(from, to) {
    const found = [];
    if (from >= this.length) return found;
    let [piece, place] = this.#find(from);
    while (found.length < to - from && piece < this.#pieces.length) {
      const { lines } = this.#pieces[piece];
      if (place >= lines.length) {
        piece += 1;
        place = 0;
      } else {
        found.push(lines[place]);
        place += 1;
      }
    }
    return found;
  }

  #heightOf(piece) {
    if (piece.height < 0) piece.height = piece.lines.reduce((sum, line) => sum + this.heightOf(line), 0);
    return piece.height;
  }

  #find(index) {
    let left = index;
    for (let piece = 0; piece < this.#pieces.length; piece += 1) {
      if (left < this.#pieces[piece].lines.length) return [piece, left];
      left -= this.#pieces[piece].lines.length;
    }
    return [Math.max(0, this.#pieces.length - 1), 0];
  }
}
