// What every page does: times in the reader's zone, forms that know the zone, rows that can be added.
'use strict';

(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
  const two = (number) => String(number).padStart(2, '0');
  const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

  const clock = (date) => `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  const day = (date) => `${date.getDate()} ${months[date.getMonth()]}`;
  const moment = (date) => {
    const year = date.getFullYear() === new Date().getFullYear() ? '' : ` ${date.getFullYear()}`;
    return `${day(date)}${year} ${clock(date)}`;
  };
  const lasted = (seconds) => {
    const whole = Math.max(0, Math.round(seconds));
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min`;
    if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
    return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
  };
  const typed = (date) =>
    `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}T${clock(date)}`;

  const ready = new WeakSet();
  const fresh = (root, selector) => [...root.querySelectorAll(selector)].filter((found) => !ready.has(found) && ready.add(found));

  function localise(root) {
    for (const time of root.querySelectorAll('time[datetime]:not([title])')) {
      const date = new Date(time.dateTime);
      const utc = time.dateTime.slice(0, 19).replace('T', ' ') + ' UTC';
      time.title = utc;
      time.textContent = time.dataset.show === 'both' && zone !== 'UTC' ? `${moment(date)} (${utc})` : moment(date);
    }
    for (const since of root.querySelectorAll('[data-since]')) {
      since.textContent = `for ${lasted((Date.now() - new Date(since.dataset.since)) / 1000)}`;
    }
    for (const name of root.querySelectorAll('[data-zone-name]')) name.textContent = zone;
    // The server knows UTC only; the reader sees and types times of his own zone.
    for (const field of fresh(root, 'input[data-utc]')) {
      if (field.value) field.value = typed(new Date(`${field.value}Z`));
      field.form.addEventListener('formdata', (event) => {
        const date = new Date(field.value);
        if (field.value && !Number.isNaN(date.getTime())) event.formData.set(field.name, date.toISOString());
      });
    }
    for (const note of fresh(root, '[data-utc-of]')) {
      const field = document.getElementById(note.dataset.utcOf);
      const show = () => {
        const date = new Date(field.value);
        note.textContent = field.value && !Number.isNaN(date.getTime())
          ? `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC` : '';
      };
      field.addEventListener('input', show);
      show();
    }
    for (const button of fresh(root, '[data-add-row]')) {
      button.hidden = false;
      button.addEventListener('click', () => {
        const rows = button.parentElement.querySelector('[data-rows]');
        const row = rows.lastElementChild.cloneNode(true);
        for (const input of row.querySelectorAll('input')) input.value = '';
        rows.append(row);
        row.querySelector('input').focus();
      });
    }
    for (const area of fresh(root, '[data-drop]')) {
      area.addEventListener('dragover', (event) => event.preventDefault());
      area.addEventListener('drop', async (event) => {
        const file = event.dataTransfer.files[0];
        if (!file) return;
        event.preventDefault();
        area.value = await file.text();
        area.dispatchEvent(new Event('change', { bubbles: true }));
      });
    }
    for (const button of fresh(root, '[data-copy]')) {
      button.hidden = !navigator.clipboard;
      button.addEventListener('click', async () => {
        await navigator.clipboard.writeText(button.dataset.copy);
        button.textContent = 'Copied';
      });
    }
    for (const box of fresh(root, '[data-check-all]')) {
      box.addEventListener('change', () => {
        for (const other of document.querySelectorAll(`[name="${box.dataset.checkAll}"]`)) other.checked = box.checked;
      });
    }
  }

  globalThis.page = { localise, moment, lasted, clock, day, two, zone };
  localise(document);
  document.addEventListener('htmx:after:settle', () => localise(document));
  // Another menu closes when one is opened, and all with Escape.
  document.addEventListener('toggle', (event) => {
    if (!event.target.open || !event.target.matches('.menu')) return;
    for (const menu of document.querySelectorAll('.menu[open]')) if (menu !== event.target) menu.open = false;
  }, true);
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') for (const menu of document.querySelectorAll('.menu[open]')) menu.open = false;
  });
})();
