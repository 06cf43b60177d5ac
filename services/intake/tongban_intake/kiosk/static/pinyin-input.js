"use strict";
/* Finds Chinese words and characters for pinyin: window.pinyinInput.candidates(letters). The tables are
   in pinyin.js; both are loaded when Chinese is typed for the first time. */
window.pinyinInput = (() => {
  const MOST = 200, MOST_SPLITS = 6, LONGEST_SYLLABLE = 6, AHEAD = 4, MOST_LONGER = 4;
  const { chars, ours, words, surnames } = window.PINYIN;
  const ofSyllable = new Map();
  const readings = new Map();
  const beginnings = new Set();
  for (const line of chars.split(" ")) {
    const [, syllable, listed] = /^([a-z]+)(.*)$/u.exec(line);
    ofSyllable.set(syllable, [...listed]);
    for (const each of listed) readings.set(each, [...(readings.get(each) || []), syllable]);
    for (let end = 1; end <= syllable.length; end++) beginnings.add(syllable.slice(0, end));
  }
  const catalogue = ours.split(" ");
  const family = surnames.split(" ").flatMap((each, at) => (at ? [each] : [...each]));

  // Words by the first letters of their syllables, in the order of their rank.
  const byInitials = new Map();
  function spellings(word) {
    return [...word].reduce(
      (all, each) => all.flatMap((before) =>
        [...new Set((readings.get(each) || [""]).map((one) => one[0]))].map((one) => before + one)),
      [""]);
  }
  for (const word of new Set([...catalogue.filter((each) => each.length <= 6), ...family.filter((each) => each.length > 1), ...words.split(" ")])) {
    for (const initials of spellings(word)) {
      if (byInitials.has(initials)) byInitials.get(initials).push(word);
      else byInitials.set(initials, [word]);
    }
  }

  // Whole syllables are best; then the beginning of one at the end; then initials of words.
  function cost(letters, last) {
    if (ofSyllable.has(letters)) return 1;
    if (!beginnings.has(letters)) return Infinity;
    if (last) return 2;
    return letters.length === 1 || /^[zcs]h$/.test(letters) ? 3 : Infinity;
  }

  /* The ways to divide the letters into syllables, best first. */
  function splits(letters) {
    const ends = Array.from({ length: letters.length + 1 }, () => []);
    ends[0] = [{ cost: 0, parts: [] }];
    for (let end = 1; end <= letters.length; end++) {
      for (let start = Math.max(0, end - LONGEST_SYLLABLE); start < end; start++) {
        const part = letters.slice(start, end);
        const more = cost(part, end === letters.length);
        if (more === Infinity || part.includes("'")) continue;
        for (const way of ends[start]) ends[end].push({ cost: way.cost + more, parts: [...way.parts, part] });
      }
      if (letters[end - 1] === "'") ends[end].push(...ends[end - 1]);
      ends[end] = ends[end].sort((a, b) => a.cost - b.cost).slice(0, MOST_SPLITS);
    }
    const all = ends[letters.length];
    return all.filter((way) => way.cost <= all[0].cost + 1).map((way) => way.parts);
  }

  function fits(word, parts) {
    return parts.every((part, at) => {
      const whole = ofSyllable.has(part) && at < parts.length - 1;
      return (readings.get(word[at]) || []).some((each) => (whole ? each === part : each.startsWith(part)));
    });
  }

  function wordsOf(parts) {
    const initials = parts.map((each) => each[0]).join("");
    const found = (byInitials.get(initials) || []).filter((each) => fits(each, parts));
    // Spelt in full is better than begun.
    const full = (word) => (readings.get(word[word.length - 1]) || []).includes(parts[parts.length - 1]);
    return [...found.filter(full), ...found.filter((each) => !full(each))];
  }

  function charactersOf(part) {
    if (ofSyllable.has(part)) return ofSyllable.get(part);
    const lists = [...ofSyllable].filter(([each]) => each.startsWith(part)).map(([, listed]) => listed);
    const mixed = [];
    for (let rank = 0; rank < 8; rank++) for (const each of lists) if (each[rank]) mixed.push(each[rank]);
    return mixed;
  }

  function namesFirst(listed) {
    const known = listed.filter((each) => family.includes(each));
    return [...known.sort((a, b) => family.indexOf(a) - family.indexOf(b)), ...listed.filter((each) => !family.includes(each))];
  }

  /* Letters, with the apostrophes between them, that the first `count` parts are written with. */
  function lettersOf(letters, parts, count) {
    let at = 0;
    for (const part of parts.slice(0, count)) {
      while (letters[at] === "'") at += 1;
      at += part.length;
    }
    while (letters[at] === "'") at += 1;
    return at;
  }

  /* What the letters may mean, best first: the text, and how many letters it stands for. */
  function candidates(letters, { name = false } = {}) {
    const found = new Map();
    const add = (text, used) => { if (!found.has(text) && found.size < MOST) found.set(text, used); };
    const [best, ...others] = splits(letters);
    if (!best) return [];
    const characters = (parts) => {
      const single = charactersOf(parts[0]);
      for (const each of name ? namesFirst(single) : single) add(each, lettersOf(letters, parts, 1));
    };
    const whole = (parts) => { if (parts.length > 1) for (const word of wordsOf(parts)) add(word, letters.length); };
    if (best.length === 1) charactersOf(best[0]).slice(0, AHEAD).forEach((each) => !name && add(each, letters.length));
    whole(best);
    if (name && best.length === 1) namesFirst(charactersOf(best[0])).slice(0, AHEAD).forEach((each) => add(each, letters.length));
    others.forEach(whole);
    if (best.length > 1 && !name) {
      const longer = catalogue.filter((word) => word.length > best.length && fits(word, best));
      longer.slice(0, MOST_LONGER).forEach((word) => add(word, letters.length));
    }
    for (let count = best.length - 1; count > 1; count--) {
      for (const word of wordsOf(best.slice(0, count))) add(word, lettersOf(letters, best, count));
    }
    [best, ...others].forEach(characters);
    return [...found].map(([text, used]) => ({ text, used }));
  }

  return { candidates };
})();
