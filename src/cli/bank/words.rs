//! The words the sample bank is made of. Every person in it is invented.

/// Family names of the Chinese customers, two compound ones among them.
pub(super) const FAMILY: [&str; 24] = [
    "王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴", "徐", "孙", "胡", "朱", "高", "林",
    "何", "郭", "马", "罗", "梁", "欧阳", "上官", "诸葛",
];

/// The same names in pinyin, for e-mail addresses.
pub(super) const FAMILY_PINYIN: [&str; 24] = [
    "wang",
    "li",
    "zhang",
    "liu",
    "chen",
    "yang",
    "zhao",
    "huang",
    "zhou",
    "wu",
    "xu",
    "sun",
    "hu",
    "zhu",
    "gao",
    "lin",
    "he",
    "guo",
    "ma",
    "luo",
    "liang",
    "ouyang",
    "shangguan",
    "zhuge",
];

/// Characters of given names.
pub(super) const GIVEN: [&str; 30] = [
    "伟", "芳", "娜", "敏", "静", "丽", "强", "磊", "军", "洋", "勇", "艳", "杰", "娟", "涛", "明",
    "超", "霞", "平", "刚", "桂", "英", "华", "慧", "建", "文", "辉", "力", "宇", "欣",
];

/// Given names of the other customers.
pub(super) const LATIN_GIVEN: [&str; 22] = [
    "Ada",
    "Alan",
    "Amélie",
    "Barbara",
    "Carlos",
    "Dorothy",
    "Edsger",
    "Frances",
    "Grace",
    "Héctor",
    "Ines",
    "Jürgen",
    "Katherine",
    "Leslie",
    "Margaret",
    "Niklaus",
    "Olga",
    "Radia",
    "Sophie",
    "Tomás",
    "Ursula",
    "Zoë",
];

/// Family names of the other customers.
pub(super) const LATIN_FAMILY: [&str; 22] = [
    "Allen",
    "Bauer",
    "Castillo",
    "Dubois",
    "Eriksen",
    "Fischer",
    "García",
    "Hopper",
    "Ivanova",
    "Johnson",
    "Kowalski",
    "Lovelace",
    "Müller",
    "Novak",
    "O'Brien",
    "Perlman",
    "Quinn",
    "Rossi",
    "Sørensen",
    "Turing",
    "Vaughan",
    "Wirth",
];

/// A place people live: city, its address's beginning, region code of its ID numbers.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) city: &'static str,
    pub(super) address: &'static str,
    pub(super) region: u32,
}

const fn place(city: &'static str, address: &'static str, region: u32) -> Place {
    Place {
        city,
        address,
        region,
    }
}

/// Districts with their codes of GB/T 2260.
pub(super) const PLACES: [Place; 12] = [
    place("北京", "北京市朝阳区", 110_105),
    place("北京", "北京市海淀区", 110_108),
    place("上海", "上海市浦东新区", 310_115),
    place("上海", "上海市徐汇区", 310_104),
    place("广州", "广东省广州市天河区", 440_106),
    place("深圳", "广东省深圳市南山区", 440_305),
    place("杭州", "浙江省杭州市西湖区", 330_106),
    place("南京", "江苏省南京市鼓楼区", 320_106),
    place("成都", "四川省成都市武侯区", 510_107),
    place("武汉", "湖北省武汉市武昌区", 420_106),
    place("西安", "陕西省西安市雁塔区", 610_113),
    place("重庆", "重庆市渝中区", 500_103),
];

/// Streets.
pub(super) const STREETS: [&str; 10] = [
    "人民路",
    "解放路",
    "建设街",
    "和平路",
    "中山路",
    "新华街",
    "文化路",
    "长江路",
    "光明街",
    "科技路",
];

/// Mail domains reserved by RFC 2606: nobody receives what a demo sends.
pub(super) const MAIL: [&str; 4] = ["example.com", "example.net", "example.org", "mail.example"];

/// Mobile prefixes.
pub(super) const MOBILE: [&str; 8] = ["133", "136", "138", "139", "150", "158", "186", "189"];

/// Card prefixes: UnionPay's range, 6 digits.
pub(super) const CARD: [&str; 4] = ["621700", "622202", "622848", "625965"];

/// What a clerk noted.
pub(super) const NOTES: [&str; 6] = [
    "prefers calls after 18:00",
    "asked about a mortgage",
    "wants statements on paper",
    "branch visit booked",
    "complaint closed",
    "需要英文服务",
];
