(function () {
  'use strict';
  var own = document.currentScript && document.currentScript.ownerSVGElement;
  var svg = own || document.documentElement;
  var alone = svg === document.documentElement;
  var MARGIN = 10, CHAR = 7.23, MIN_WIDTH = 0.3;
  var width = 1180;
  var frames = Array.prototype.map.call(svg.querySelectorAll('.f'), function (g) {
    var text = g.querySelector('title').textContent;
    var end = text.lastIndexOf('\n');
    return {
      g: g, rect: g.querySelector('rect'), label: g.querySelector('text'),
      name: text.slice(0, end), about: text.slice(end + 1),
      x: +g.getAttribute('data-x'), w: +g.getAttribute('data-w'), row: +g.getAttribute('data-r')
    };
  });
  if (!frames.length) return;
  var all = frames[0], focus = all;
  var details = svg.querySelector('.details'), found = svg.querySelector('.found');
  var search = svg.querySelector('.search'), clear = svg.querySelector('.clear'), reset = svg.querySelector('.reset');
  var standing = details.textContent;

  function label(frame, px) {
    var room = Math.floor((px - 8) / CHAR), cells = 0, text = '';
    if (room >= 4) {
      var chars = Array.from(frame.name), size = function (c) { return c.codePointAt(0) >= 0x1100 ? 2 : 1; };
      var total = chars.reduce(function (sum, c) { return sum + size(c); }, 0);
      for (var i = 0; i < chars.length; i++) {
        cells += size(chars[i]);
        if (total > room && cells > room - 1) { text += '…'; break; }
        text += chars[i];
      }
    }
    if (!text) {
      if (frame.label) frame.label.classList.add('off');
      return;
    }
    if (!frame.label) {
      frame.label = document.createElementNS('http://www.w3.org/2000/svg', 'text');
      frame.label.setAttribute('y', +frame.rect.getAttribute('y') + 13);
      frame.g.appendChild(frame.label);
    }
    frame.label.classList.remove('off');
    frame.label.textContent = text;
  }

  function draw() {
    frames.forEach(function (frame) {
      var from = Math.max(frame.x, focus.x), to = Math.min(frame.x + frame.w, focus.x + focus.w);
      var px = (to - from) / focus.w * width;
      var shown = px >= MIN_WIDTH;
      frame.g.classList.toggle('off', !shown);
      if (!shown) return;
      frame.g.classList.toggle('dim', frame.row < focus.row);
      var x = MARGIN + (from - focus.x) / focus.w * width;
      frame.rect.setAttribute('x', x.toFixed(2));
      frame.rect.setAttribute('width', (px > 2 ? px - 0.6 : px * 0.8).toFixed(2));
      label(frame, px);
      if (frame.label) frame.label.setAttribute('x', (x + 4).toFixed(2));
    });
    reset.classList.toggle('off', focus === all);
  }

  function zoom(frame) { focus = frame; draw(); }

  function fit() {
    if (!alone || !window.innerWidth) return;
    var outer = Math.max(640, window.innerWidth), height = svg.getAttribute('viewBox').split(' ')[3];
    width = outer - 2 * MARGIN;
    svg.setAttribute('width', outer);
    svg.setAttribute('viewBox', '0 0 ' + outer + ' ' + height);
    svg.querySelector('.right').setAttribute('transform', 'translate(' + (outer - MARGIN) + ',0)');
    draw();
  }

  function matcher(term) {
    try {
      var expression = new RegExp(term, 'i');
      return function (name) { return expression.test(name); };
    } catch (error) {
      return function (name) { return name.indexOf(term) >= 0; };
    }
  }

  function mark(term) {
    var matches = term ? matcher(term) : function () { return false; };
    var hits = frames.filter(function (frame) {
      var hit = frame !== all && matches(frame.name);
      frame.g.classList.toggle('hit', hit);
      return hit;
    });
    // A hit on top of another one is no more time.
    hits.sort(function (a, b) { return a.x - b.x || a.row - b.row; });
    var sum = 0, end = 0;
    hits.forEach(function (hit) {
      if (hit.x >= end) { sum += hit.w; end = hit.x + hit.w; }
    });
    found.textContent = term ? 'matched ' + (100 * sum / all.w).toFixed(1) + ' %' : '';
    clear.classList.toggle('off', !term);
  }

  function ask() {
    var term = window.prompt('Search for a name (a regular expression):', '');
    if (term !== null) mark(term);
  }

  frames.forEach(function (frame) {
    frame.g.addEventListener('click', function () { zoom(frame); });
    frame.g.addEventListener('mouseenter', function () { details.textContent = frame.name + ' — ' + frame.about; });
    frame.g.addEventListener('mouseleave', function () { details.textContent = standing; });
  });
  search.addEventListener('click', ask);
  clear.addEventListener('click', function () { mark(''); });
  reset.addEventListener('click', function () { zoom(all); });
  window.addEventListener('resize', fit);
  window.addEventListener('keydown', function (event) {
    if (event.key === 'Escape') zoom(all);
    if (alone && (event.key === '/' || (event.key === 'f' && (event.ctrlKey || event.metaKey)))) {
      event.preventDefault();
      ask();
    }
  });
  search.classList.remove('off');
  fit();
  draw();
})();
