// Emoji by the names Slack gives them. Names not listed here stay as :name: text.

import { el } from "./dom.js";

const LIST = `
+1 👍 -1 👎 ok_hand 👌 wave 👋 clap 👏 raised_hands 🙌 pray 🙏 muscle 💪 point_right 👉
point_left 👈 point_up ☝️ point_down 👇 raised_hand ✋ crossed_fingers 🤞 handshake 🤝 v ✌️
writing_hand ✍️ eyes 👀 brain 🧠 grinning 😀 smile 😄 smiley 😃 grin 😁 joy 😂 rofl 🤣
slightly_smiling_face 🙂 upside_down_face 🙃 wink 😉 blush 😊 heart_eyes 😍 sunglasses 😎
thinking_face 🤔 neutral_face 😐 expressionless 😑 face_with_rolling_eyes 🙄 sweat_smile 😅
sweat 😓 cold_sweat 😰 scream 😱 sob 😭 cry 😢 disappointed 😞 confused 😕 worried 😟 angry 😠
rage 😡 sleeping 😴 zzz 💤 mask 😷 exploding_head 🤯 face_palm 🤦 shrug 🤷 partying_face 🥳
hugging_face 🤗 saluting_face 🫡 nerd_face 🤓 zany_face 🤪 skull 💀 ghost 👻 robot_face 🤖
alien 👽 heart ❤️ broken_heart 💔 green_heart 💚 blue_heart 💙 purple_heart 💜 yellow_heart 💛
sparkles ✨ star ⭐ star2 🌟 tada 🎉 confetti_ball 🎊 trophy 🏆 medal 🏅 gift 🎁 fire 🔥 boom 💥
zap ⚡ snowflake ❄️ droplet 💧 ocean 🌊 sunny ☀️ cloud ☁️ rainbow 🌈 hot_pepper 🌶️ seedling 🌱
rotating_light 🚨 warning ⚠️ no_entry ⛔ no_entry_sign 🚫 octagonal_sign 🛑 construction 🚧
bell 🔔 no_bell 🔕 mega 📣 loudspeaker 📢 sos 🆘 ambulance 🚑 fire_engine 🚒
fire_extinguisher 🧯 firefighter 🧑‍🚒 adhesive_bandage 🩹 stethoscope 🩺 pill 💊 dna 🧬
white_check_mark ✅ heavy_check_mark ✔️ ballot_box_with_check ☑️ x ❌ heavy_multiplication_x ✖️
negative_squared_cross_mark ❎ heavy_plus_sign ➕ heavy_minus_sign ➖ question ❓
grey_question ❔ exclamation ❗ bangbang ‼️ interrobang ⁉️ 100 💯 red_circle 🔴
large_orange_circle 🟠 large_yellow_circle 🟡 large_green_circle 🟢 large_blue_circle 🔵
large_purple_circle 🟣 white_circle ⚪ black_circle ⚫ large_red_square 🟥 large_orange_square 🟧
large_yellow_square 🟨 large_green_square 🟩 large_blue_square 🟦 white_large_square ⬜
black_large_square ⬛ small_red_triangle 🔺 small_red_triangle_down 🔻 small_blue_diamond 🔹
small_orange_diamond 🔸 arrow_up ⬆️ arrow_down ⬇️ arrow_right ➡️ arrow_left ⬅️
arrow_upper_right ↗️ arrow_lower_right ↘️ arrows_counterclockwise 🔄 repeat 🔁
leftwards_arrow_with_hook ↩️ rewind ⏪ fast_forward ⏩ arrow_forward ▶️
double_vertical_bar ⏸️ black_square_for_stop ⏹️ stopwatch ⏱️ timer_clock ⏲️ alarm_clock ⏰
hourglass ⌛ hourglass_flowing_sand ⏳ clock1 🕐 clock3 🕒 clock9 🕘 watch ⌚ calendar 📆 date 📅
spiral_calendar_pad 🗓️ pushpin 📌 round_pushpin 📍 paperclip 📎 link 🔗 scroll 📜 memo 📝
pencil2 ✏️ book 📖 books 📚 closed_book 📕 green_book 📗 blue_book 📘 notebook 📓 clipboard 📋
page_facing_up 📄 bookmark 🔖 bookmark_tabs 📑 label 🏷️ file_folder 📁 open_file_folder 📂
card_index_dividers 🗂️ file_cabinet 🗄️ wastebasket 🗑️ package 📦 inbox_tray 📥 outbox_tray 📤
incoming_envelope 📨 email 📧 speech_balloon 💬 thought_balloon 💭 left_speech_bubble 🗨️ bulb 💡
mag 🔍 mag_right 🔎 microscope 🔬 telescope 🔭 chart_with_upwards_trend 📈
chart_with_downwards_trend 📉 bar_chart 📊 straight_ruler 📏 balance_scale ⚖️ lock 🔒 unlock 🔓
closed_lock_with_key 🔐 key 🔑 shield 🛡️ detective 🕵️ police_car 🚓 cop 👮 judge 🧑‍⚖️ wrench 🔧
hammer 🔨 hammer_and_wrench 🛠️ gear ⚙️ nut_and_bolt 🔩 toolbox 🧰 magnet 🧲 electric_plug 🔌
battery 🔋 satellite_antenna 📡 computer 💻 desktop_computer 🖥️ keyboard ⌨️ floppy_disk 💾 cd 💿
minidisc 💽 globe_with_meridians 🌐 earth_americas 🌎 phone ☎️ telephone_receiver 📞 pager 📟
iphone 📱 camera 📷 credit_card 💳 moneybag 💰 shopping_trolley 🛒 bug 🐛 beetle 🐞 turtle 🐢
snail 🐌 rabbit2 🐇 dog 🐶 cat 🐱 unicorn_face 🦄 whale 🐳 octopus 🐙 bird 🐦 coffee ☕ pizza 🍕
beers 🍻 cake 🍰 birthday 🎂 popcorn 🍿 rocket 🚀 airplane ✈️ ship 🚢 anchor ⚓ car 🚗
checkered_flag 🏁 triangular_flag_on_post 🚩 white_flag 🏳️ dart 🎯 game_die 🎲 jigsaw 🧩
thread 🧵 ladder 🪜 crystal_ball 🔮 night_with_stars 🌃 sunrise 🌅 new 🆕 ok 🆗 up 🆙 free 🆓
information_source ℹ️ recycle ♻️ infinity ♾️ one 1️⃣ two 2️⃣ three 3️⃣ four 4️⃣ five 5️⃣ six 6️⃣ seven 7️⃣
eight 8️⃣ nine 9️⃣ zero 0️⃣ keycap_ten 🔟 cyclone 🌀 vertical_traffic_light 🚦 traffic_light 🚥
fuelpump ⛽ house 🏠 office 🏢 hospital 🏥 factory 🏭 busts_in_silhouette 👥 bust_in_silhouette 👤
raising_hand 🙋 technologist 🧑‍💻 mechanic 🧑‍🔧 runner 🏃 juggling 🤹 baby 👶 crown 👑 gem 💎
`;
const ALIASES = {
  thumbsup: "+1",
  thumbsdown: "-1",
  hankey: "skull",
  laughing: "joy",
  thinking: "thinking_face",
  robot: "robot_face",
  pencil: "memo",
  e_mail: "email",
  telephone: "phone",
  alert: "rotating_light",
  exclamation_mark: "exclamation",
  heavy_exclamation_mark: "exclamation",
  collision: "boom",
  stop_sign: "octagonal_sign",
  yellow_circle: "large_yellow_circle",
  unicorn: "unicorn_face",
  green_circle: "large_green_circle",
  orange_circle: "large_orange_circle",
  facepalm: "face_palm",
  calendar_spiral: "spiral_calendar_pad",
  hand: "raised_hand",
  hugs: "hugging_face",
  scales: "balance_scale",
  pause_button: "double_vertical_bar",
  stop_button: "black_square_for_stop",
  mailbox: "inbox_tray",
  envelope: "email",
  lady_beetle: "beetle",
  earth: "earth_americas",
  trashcan: "wastebasket",
};

const words = LIST.trim().split(/\s+/);
export const EMOJI = new Map(
  Array.from({ length: words.length / 2 }, (_, i) => [words[2 * i], words[2 * i + 1]]),
);

/** Gives the character of an emoji name, skin tones left out, or undefined. */
export function glyph(name) {
  const plain = name.split("::")[0];
  return EMOJI.get(plain) ?? EMOJI.get(ALIASES[plain]);
}

/** Draws an emoji by name; an unknown name stays text. */
export function emoji(name) {
  const character = glyph(name);
  if (character === undefined) return document.createTextNode(`:${name}:`);
  const label = `:${name}:`;
  return el("span", { class: "emoji", role: "img", "aria-label": label, title: label }, character);
}

/** Gives text as nodes, with the emoji names in it drawn. */
export function withEmoji(text) {
  const pattern = /:([a-z0-9_+'-]+)(?:::skin-tone-\d)?:/gi;
  const nodes = [];
  let from = 0;
  for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
    if (glyph(match[1]) === undefined) {
      pattern.lastIndex -= 1; // the second colon may begin another name
      continue;
    }
    nodes.push(text.slice(from, match.index), emoji(match[1]));
    from = pattern.lastIndex;
  }
  return [...nodes, text.slice(from)].filter((node) => node !== "");
}
