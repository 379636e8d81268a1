// Returns what is wrong with the page, in a sentence each. Contrast is that of
// WCAG 2.2, 1.4.3: 4.5 to 1 for text.
(() => {
	const faults = [];
	const root = document.documentElement;
	if (root.scrollWidth > root.clientWidth) {
		faults.push(`it is ${root.scrollWidth} wide, and ${root.clientWidth} of it fit`);
	}
	if (document.scripts.length > 0) faults.push("it has scripts");
	if (document.querySelectorAll("h1").length !== 1) faults.push("it has not one h1");
	if (!root.lang || !document.title) faults.push("it has no language or no title");
	for (const table of document.querySelectorAll("table")) {
		if (!table.caption) faults.push("a table has no caption");
		if (table.querySelectorAll("th:not([scope])").length > 0) faults.push("a table has a header that does not say of what");
	}
	for (const control of document.querySelectorAll("input, select")) {
		if (control.labels.length === 0) faults.push(`#${control.id} has no label`);
	}
	for (const picture of document.querySelectorAll("svg")) {
		if (!picture.getAttribute("aria-label")) faults.push("a picture has no words");
	}

	const channels = (color) => color.match(/[\d.]+/g).map(Number);
	const luminance = (color) => {
		const [r, g, b] = channels(color).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const paper = (element) => {
		for (; element; element = element.parentElement) {
			const color = getComputedStyle(element).backgroundColor;
			if (channels(color)[3] !== 0) return color;
		}
		return "rgb(255, 255, 255)";
	};
	const seen = new Set();
	for (const element of document.body.querySelectorAll("*")) {
		if (![...element.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim())) continue;
		const ink = getComputedStyle(element).color, on = paper(element);
		const [light, dark] = [luminance(ink), luminance(on)].sort((a, b) => b - a);
		const contrast = (light + 0.05) / (dark + 0.05);
		if (contrast < 4.5 && !seen.has(ink + on)) faults.push(`${ink} on ${on} has a contrast of ${contrast.toFixed(1)}: ${element.textContent.trim().slice(0, 40)}`);
		seen.add(ink + on);
	}
	return faults;
})()
