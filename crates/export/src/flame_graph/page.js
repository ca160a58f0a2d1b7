(function () {
  'use strict';
  var data = JSON.parse(document.getElementById('data').textContent);
  var ROW = 18, MIN_PX = 0.5;
  var count = data.name.length;
  var graph = document.getElementById('graph'), details = document.getElementById('details');
  var search = document.getElementById('search'), found = document.getElementById('found');
  var reset = document.getElementById('reset'), turn = document.getElementById('turn');
  var rows = 0, parent = new Int32Array(count), last = [];
  for (var i = 0; i < count; i++) {
    var row = data.row[i];
    parent[i] = row ? last[row - 1] : -1;
    last[row] = i;
    rows = Math.max(rows, row + 1);
  }
  var standing = data.too_deep ? 'The deepest stacks are cut at the top.' : '';
  var focus = 0, at = 0, flipped = false, isHit = null, shown = new Map();

  function grouped(number) { return Math.round(number).toLocaleString('en-US'); }

  function quantity(value) {
    var factor = { nanoseconds: 1e-9, microseconds: 1e-6, milliseconds: 1e-3, seconds: 1 }[data.unit];
    if (factor) {
      var s = value * factor;
      if (s < 0.001) return (s * 1e6).toFixed(0) + ' µs';
      if (s < 1) return (s * 1e3).toFixed(0) + ' ms';
      return s < 100 ? s.toFixed(2) + ' s' : grouped(s) + ' s';
    }
    if (data.unit === 'bytes') {
      var units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'], step = 0;
      while (value >= 1024 && step + 1 < units.length) { value /= 1024; step++; }
      return (step ? value.toFixed(1) : value) + ' ' + units[step];
    }
    return grouped(value) + (data.unit === 'count' || !data.unit ? '' : ' ' + data.unit);
  }

  function percent(value, side) { return data.whole[side] ? 100 * value / data.whole[side] : 0; }

  function side(numbers, i, which) {
    var value = numbers[2 * i + which];
    return percent(value, which).toFixed(2) + ' % (' + quantity(value) + ')';
  }

  function change(numbers, i) {
    var points = percent(numbers[2 * i + 1], 1) - percent(numbers[2 * i], 0);
    return (points < 0 ? '−' : '+') + Math.abs(points).toFixed(2) + ' points: before ' + side(numbers, i, 0) +
      ', after ' + side(numbers, i, 1);
  }

  function about(i) {
    if (data.scale === 'change') return change(data.total, i) + ' · itself ' + change(data.own, i);
    var total = data.total[2 * i], own = data.own[2 * i];
    return grouped(total) + ' samples, ' + percent(total, 0).toFixed(2) + ' %, ' + quantity(data.total[2 * i + 1]) +
      ' · itself ' + percent(own, 0).toFixed(2) + ' %';
  }

  function describe(i) {
    details.textContent = i < 0 ? standing : data.names[data.name[i]] + ' — ' + about(i);
  }

  function draw() {
    graph.textContent = '';
    shown.clear();
    if (!data.width) {
      graph.textContent = 'No samples.';
      return;
    }
    var width = graph.clientWidth, from = data.x[focus], scale = width / data.w[focus], top = 0;
    var pieces = document.createDocumentFragment();
    for (var i = 0; i < count; i++) {
      var left = Math.max(data.x[i], from), right = Math.min(data.x[i] + data.w[i], from + data.w[focus]);
      var px = (right - left) * scale;
      if (px < MIN_PX) continue;
      top = Math.max(top, data.row[i]);
      var box = document.createElement('div');
      box.className = data.classes[data.class[i]];
      if (data.row[i] < data.row[focus]) box.classList.add('dim');
      if (isHit && isHit[i]) box.classList.add('hit');
      box.style.left = ((left - from) * scale).toFixed(2) + 'px';
      box.style.width = Math.max(px > 2 ? px - 0.6 : px * 0.8, 0.4).toFixed(2) + 'px';
      if (px >= 24) box.textContent = data.names[data.name[i]];
      else box.classList.add('thin');
      box.setAttribute('data-frame', i);
      shown.set(i, box);
      pieces.appendChild(box);
    }
    graph.style.height = (top + 1) * ROW + 'px';
    shown.forEach(function (box, i) {
      box.style.top = (flipped ? data.row[i] : top - data.row[i]) * ROW + 'px';
    });
    graph.appendChild(pieces);
    mark();
    reset.hidden = focus === 0;
  }

  // Which box the keyboard is at.
  function mark() {
    shown.forEach(function (box, i) { box.classList.toggle('at', i === at); });
  }

  function stand(i) {
    if (!shown.has(i)) return;
    at = i;
    mark();
    describe(i);
    shown.get(i).scrollIntoView({ block: 'nearest' });
  }

  // What is looked at stands in the address, so that it can be sent to others.
  function save() {
    var parts = [];
    if (focus) parts.push('frame=' + focus);
    if (search.value) parts.push('search=' + encodeURIComponent(search.value));
    if (flipped) parts.push('turned');
    location.hash = parts.join('&');
  }

  function load() {
    var values = {};
    location.hash.slice(1).split('&').forEach(function (part) {
      var at = part.indexOf('=');
      try {
        values[at < 0 ? part : part.slice(0, at)] = at < 0 ? '' : decodeURIComponent(part.slice(at + 1));
      } catch (error) { /* No address that this page has made. */ }
    });
    var frame = /^\d+$/.test(values.frame || '') ? +values.frame : 0;
    focus = frame < count ? frame : 0;
    at = focus;
    flipped = 'turned' in values;
    turn.setAttribute('aria-pressed', String(flipped));
    if (search.value !== (values.search || '')) search.value = values.search || '';
    find();
    draw();
    describe(focus ? focus : -1);
  }

  function zoom(i) {
    focus = i;
    at = i;
    save();
    draw();
    describe(i);
  }

  function matcher(term) {
    try {
      var expression = new RegExp(term, 'i');
      return function (name) { return expression.test(name); };
    } catch (error) {
      return function (name) { return name.indexOf(term) >= 0; };
    }
  }

  function find() {
    var term = search.value;
    isHit = null;
    found.textContent = '';
    if (!term) return;
    var matches = matcher(term), names = data.names.map(matches);
    var sum = 0, below = new Uint8Array(count), hits = 0;
    isHit = new Uint8Array(count);
    // Callers come first: a hit on top of another one is no more time.
    for (var i = 1; i < count; i++) {
      var under = parent[i] >= 0 && below[parent[i]];
      isHit[i] = names[data.name[i]] ? 1 : 0;
      below[i] = under || isHit[i] ? 1 : 0;
      hits += isHit[i];
      if (isHit[i] && !under) sum += data.w[i];
    }
    found.textContent = grouped(hits) + ' frames, ' + (100 * sum / data.width).toFixed(2) + ' %';
  }

  function beside(i, step) {
    for (var other = i + step; other >= 0 && other < count; other += step) {
      if (data.row[other] === data.row[i] && shown.has(other)) return other;
    }
    return i;
  }

  function above(i) {
    var best = i;
    for (var other = i + 1; other < count && data.row[other] > data.row[i]; other++) {
      if (parent[other] === i && shown.has(other) && (best === i || data.w[other] > data.w[best])) best = other;
    }
    return best;
  }

  function frameOf(event) {
    var box = event.target.closest('[data-frame]');
    return box ? +box.getAttribute('data-frame') : -1;
  }

  graph.addEventListener('click', function (event) {
    var i = frameOf(event);
    if (i >= 0) zoom(i);
  });
  graph.addEventListener('mouseover', function (event) {
    var i = frameOf(event);
    describe(i);
    if (i >= 0) event.target.closest('[data-frame]').title = data.names[data.name[i]] + '\n' + about(i);
  });
  graph.addEventListener('mouseleave', function () { describe(-1); });
  graph.addEventListener('keydown', function (event) {
    var up = flipped ? 'ArrowDown' : 'ArrowUp', down = flipped ? 'ArrowUp' : 'ArrowDown';
    if (event.key === up) stand(above(at));
    else if (event.key === down) stand(parent[at] >= 0 ? parent[at] : at);
    // Among the boxes of a row those further to the left come later.
    else if (event.key === 'ArrowRight') stand(beside(at, -1));
    else if (event.key === 'ArrowLeft') stand(beside(at, 1));
    else if (event.key === 'Enter') zoom(at);
    else return;
    event.preventDefault();
  });
  search.addEventListener('input', function () { find(); draw(); });
  search.addEventListener('change', save);
  reset.addEventListener('click', function () { zoom(0); });
  turn.addEventListener('click', function () {
    flipped = !flipped;
    turn.setAttribute('aria-pressed', String(flipped));
    save();
    draw();
  });
  window.addEventListener('resize', draw);
  window.addEventListener('hashchange', load);
  window.addEventListener('keydown', function (event) {
    if (event.key === 'Escape') {
      if (event.target === search && search.value) { search.value = ''; find(); save(); draw(); } else zoom(0);
    }
    var wants = event.key === '/' || (event.key === 'f' && (event.ctrlKey || event.metaKey));
    if (wants && event.target !== search) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  });
  load();
})();
