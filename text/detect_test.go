package text

import (
	"slices"
	"strings"
	"testing"
)

// sentences, written for this test: what a library or a weather report says in each language.
var sentences = map[string]string{
	"af": "Die biblioteek is elke dag oop, en jy kan soveel boeke leen as wat jy wil, maar bring hulle asseblief betyds terug.",
	"ar": "المكتبة مفتوحة كل يوم ويمكنك استعارة الكتب التي تريدها ولكن عليك أن تعيدها في الوقت المحدد.",
	"be": "Бібліятэка адчынена кожны дзень, і вы можаце ўзяць столькі кніг, колькі хочаце, але вяртайце іх своечасова.",
	"bg": "Библиотеката е отворена всеки ден и можете да вземете колкото книги искате, но трябва да ги върнете навреме.",
	"ca": "La biblioteca és oberta cada dia i podeu agafar tants llibres com vulgueu, però els heu de tornar a temps.",
	"cs": "Knihovna je otevřená každý den a můžete si půjčit tolik knih, kolik chcete, ale musíte je vrátit včas.",
	"cy": "Mae'r llyfrgell ar agor bob dydd a gallwch fenthyg faint o lyfrau ag y dymunwch, ond rhaid eu dychwelyd mewn pryd.",
	"da": "Biblioteket har åbent hver dag, og du må låne så mange bøger, du vil, men du skal aflevere dem til tiden.",
	"de": "Die Bibliothek ist jeden Tag geöffnet, und man darf so viele Bücher ausleihen, wie man möchte, muss sie aber pünktlich zurückgeben.",
	"el": "Η βιβλιοθήκη είναι ανοιχτή κάθε μέρα και μπορείτε να δανειστείτε όσα βιβλία θέλετε.",
	"en": "The library is open every day and you may borrow as many books as you like, but you have to bring them back in time.",
	"es": "La biblioteca está abierta todos los días y se pueden pedir prestados todos los libros que se quiera, pero hay que devolverlos a tiempo.",
	"et": "Raamatukogu on avatud iga päev ja te võite laenutada nii palju raamatuid kui soovite, kuid need tuleb õigel ajal tagastada.",
	"eu": "Liburutegia egunero irekita dago eta nahi adina liburu har ditzakezu maileguan, baina garaiz itzuli behar dituzu.",
	"fa": "کتابخانه هر روز باز است و شما می\u200Cتوانید هر تعداد کتاب که می\u200Cخواهید امانت بگیرید، اما باید آنها را به موقع برگردانید.",
	"fi": "Kirjasto on avoinna joka päivä, ja voit lainata niin monta kirjaa kuin haluat, mutta ne täytyy palauttaa ajoissa.",
	"fr": "La bibliothèque est ouverte tous les jours et vous pouvez emprunter autant de livres que vous voulez, mais il faut les rendre à temps.",
	"ga": "Tá an leabharlann ar oscailt gach lá agus is féidir leat an oiread leabhar agus is mian leat a fháil ar iasacht.",
	"he": "הספרייה פתוחה בכל יום ואפשר לשאול כמה ספרים שרוצים, אבל צריך להחזיר אותם בזמן.",
	"hi": "पुस्तकालय हर दिन खुला रहता है और आप जितनी चाहें उतनी किताबें ले सकते हैं, लेकिन उन्हें समय पर लौटाना होगा।",
	"hr": "Knjižnica je otvorena svaki dan i možete posuditi koliko god knjiga želite, ali ih morate vratiti na vrijeme.",
	"hu": "A könyvtár minden nap nyitva van, és annyi könyvet kölcsönözhet, amennyit csak szeretne, de időben vissza kell hoznia.",
	"id": "Perpustakaan buka setiap hari dan Anda boleh meminjam buku sebanyak yang Anda inginkan, tetapi harus mengembalikannya tepat waktu.",
	"is": "Bókasafnið er opið alla daga og þú mátt fá lánaðar eins margar bækur og þú vilt, en þú verður að skila þeim á réttum tíma.",
	"it": "La biblioteca è aperta tutti i giorni e si possono prendere in prestito tutti i libri che si vogliono, ma bisogna restituirli in tempo.",
	"ja": "図書館は毎日開いています。好きなだけ本を借りることができますが、期限までに返してください。",
	"ko": "도서관은 매일 열려 있으며 원하는 만큼 책을 빌릴 수 있지만 제때 반납해야 합니다.",
	"lt": "Biblioteka atidaryta kiekvieną dieną, ir galite pasiskolinti tiek knygų, kiek norite, tačiau turite jas laiku grąžinti.",
	"lv": "Bibliotēka ir atvērta katru dienu, un jūs varat aizņemties tik daudz grāmatu, cik vēlaties, bet tās ir jāatdod laikā.",
	"mk": "Библиотеката е отворена секој ден и можете да позајмите колку книги сакате, но мора да ги вратите на време.",
	"nl": "De bibliotheek is elke dag open en je mag zoveel boeken lenen als je wilt, maar je moet ze wel op tijd terugbrengen.",
	"no": "Biblioteket er åpent hver dag, og du kan låne så mange bøker du vil, men du må levere dem tilbake i tide.",
	"pl": "Biblioteka jest otwarta codziennie i można wypożyczyć tyle książek, ile się chce, ale trzeba je oddać na czas.",
	"pt": "A biblioteca está aberta todos os dias e você pode levar emprestados quantos livros quiser, mas precisa devolvê-los no prazo.",
	"ro": "Biblioteca este deschisă în fiecare zi și puteți împrumuta câte cărți doriți, dar trebuie să le aduceți înapoi la timp.",
	"ru": "Библиотека открыта каждый день, и вы можете взять сколько угодно книг, но их нужно вернуть вовремя.",
	"sk": "Knižnica je otvorená každý deň a môžete si požičať toľko kníh, koľko chcete, ale musíte ich vrátiť načas.",
	"sl": "Knjižnica je odprta vsak dan in izposodite si lahko toliko knjig, kolikor želite, vendar jih morate vrniti pravočasno.",
	"sq": "Biblioteka është e hapur çdo ditë dhe ju mund të merrni hua sa libra të doni, por duhet t'i ktheni në kohë.",
	"sr": "Библиотека је отворена сваког дана и можете позајмити колико год књига желите, али морате да их вратите на време.",
	"sv": "Biblioteket har öppet varje dag och du får låna hur många böcker du vill, men du måste lämna tillbaka dem i tid.",
	"sw": "Maktaba hufunguliwa kila siku na unaweza kuazima vitabu vingi kadiri unavyotaka, lakini lazima uvirudishe kwa wakati.",
	"th": "ห้องสมุดเปิดทุกวันและคุณสามารถยืมหนังสือได้มากเท่าที่คุณต้องการ",
	"tr": "Kütüphane her gün açıktır ve istediğiniz kadar kitap ödünç alabilirsiniz, ancak bunları zamanında geri getirmeniz gerekir.",
	"uk": "Бібліотека відчинена щодня, і ви можете взяти стільки книжок, скільки хочете, але їх треба вчасно повернути.",
	"ur": "لائبریری ہر روز کھلی رہتی ہے اور آپ جتنی چاہیں کتابیں لے سکتے ہیں، لیکن انہیں وقت پر واپس کرنا ہوگا۔",
	"vi": "Thư viện mở cửa mỗi ngày và bạn có thể mượn bao nhiêu sách tùy thích, nhưng phải trả lại đúng hạn.",
	"zh": "图书馆每天开放，您可以借任意数量的书，但必须按时归还。",
}

func TestDetectSentences(t *testing.T) {
	for want, s := range sentences {
		if got, confidence := Detect(s); got != want || confidence < 0.5 {
			t.Errorf("%s is taken for %s (%.2f): %s", want, got, confidence, s)
		}
		script, _ := mainScript(s)
		if _, confidence := Detect(strings.Fields(s)[0]); confidence > 0.5 && script.lang == "" {
			t.Errorf("one word of %s is enough: %.2f", want, confidence)
		}
	}
	t.Logf("%d languages", len(sentences))
}

func TestDetectShortAndStrange(t *testing.T) {
	for _, s := range []string{"", " ", "12345 67,8 !?", "\xff\xfe", "😀"} {
		if lang, confidence := Detect(s); lang != "" || confidence != 0 {
			t.Errorf("Detect(%q) = %q, %v", s, lang, confidence)
		}
	}
	for _, s := range []string{"OK", "Hello", "PostgreSQL", "x = y + z", "Berlin 2024"} {
		if lang, confidence := Detect(s); confidence >= 0.5 {
			t.Errorf("Detect(%q) = %q with confidence %.2f", s, lang, confidence)
		}
	}
	for s, want := range map[string]string{
		"インストールするには apt install postgresql-15 を実行してください":        "ja",
		"Чтобы установить, выполните apt install postgresql-15": "ru",
		"要安装请运行 apt install postgresql-15-doc":                  "zh",
	} {
		if lang, _ := Detect(s); lang != want {
			t.Errorf("Detect(%q) = %q, want %q", s, lang, want)
		}
	}
}

// What scores does at once for frequent groups must come to the same as adding up every group as it comes.
func TestScoresAddUp(t *testing.T) {
	m := languageModel()
	for lang, s := range sentences {
		for _, s := range []string{s, strings.ToUpper(s), s + " zz \u00ff a\u0300 x", strings.Repeat(s+" ", 20)} {
			script, _ := mainScript(s)
			if script == nil || script.lang != "" {
				continue
			}
			want, wantLetters := make([]int64, len(m.langs)), 0
			eachGram(s, script.table, func(g gram, size int) {
				if size == 1 {
					wantLetters++
				}
				for _, w := range m.row(g) {
					want[w.lang] += int64(w.weight)
				}
			})
			if got, letters := m.scores(s, script.table); letters != wantLetters || !slices.Equal(got, want) {
				t.Errorf("%s: scores of %q are %d, %v, want %d, %v", lang, s, letters, got, wantLetters, want)
			}
		}
	}
}

func FuzzDetect(f *testing.F) {
	for _, s := range sentences {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if lang, confidence := Detect(s); confidence < 0 || confidence > 1 || (lang == "") != (confidence == 0) {
			t.Fatalf("Detect(%q) = %q, %v", s, lang, confidence)
		}
	})
}

func BenchmarkDetect(b *testing.B) {
	for _, lang := range []string{"en", "ru", "ja"} {
		s := strings.Repeat(sentences[lang]+" ", 100)
		b.Run(lang, func(b *testing.B) {
			Detect(s)
			b.ReportAllocs()
			for b.Loop() {
				Detect(s)
			}
		})
	}
}
